"""What tells languages apart in a code page: the letters beyond ASCII, and the commonest words."""

from typing import NamedTuple


class Language(NamedTuple):
    """Lower case. `letters` are usual in it, `rare` letters occur; `words` are pure ASCII."""

    encodings: tuple[str, ...]
    letters: frozenset[str]
    rare: frozenset[str]
    words: frozenset[bytes]


# cp1252 comes first: of what is equally good the first is taken.
_WEST = ("cp1252", "iso-8859-15", "mac-roman", "cp850")
_CENTRE = ("cp1250", "iso-8859-2", "cp852")
_CYRILLIC = ("cp1251", "koi8-r", "koi8-u", "cp866", "iso-8859-5", "mac-cyrillic")
_CJK = "".join(map(chr, range(0x4E00, 0xA000)))
_HANGUL = "".join(map(chr, range(0xAC00, 0xD7A4)))
_KATAKANA = "".join(map(chr, range(0x30A1, 0x30FD)))
_HIRAGANA = "".join(map(chr, range(0x3041, 0x3097)))
_WIDE = "、。〈〉《》「」『』！（），：；？・"

_TABLE = (
    (_WEST, "éèêàçôüñ", "ëïîâäöáíóœæûùåø", "the of and to in is for that it with was on as are by be this"),
    (
        _WEST,
        "éèêàçùâîôûëïœ",
        "üÿæñäöáíó",
        "le la les des du et un une est que qui dans pour sur pas en de au il par",
    ),
    (_WEST, "ãáçéíóêâõú", "àôüñèö", "o os as de do da dos das que e em um uma para com no na por se ao mais"),
    (_WEST, "áéíóúñ¿¡", "üçàèö", "el la los las de del que y en un una es por con para se no su al como"),
    (_WEST, "àèéìòù", "îóáíúüöç", "il la lo gli le di del della che un una non per con si da in alla come e"),
    (_WEST, "àèéíïòóúç·", "üñ", "el la els les de del que i en un una es per amb no al com"),
    (
        _WEST,
        "äöüß",
        "éèàáçêñ",
        "der die das und ist ein eine den dem zu mit von im auf nicht sich als des wird an",
    ),
    (_WEST, "äåö", "éüàø", "och att det som en av den med till har de inte om ett men var vid sig i"),
    (_WEST, "åæø", "éöäüó", "og at det som en er av af den med til har de ikke om et men var ved i for"),
    (_WEST, "äö", "åéüšž", "ja on ei se oli joka mutta kun ovat sen hän myös niin kuin"),
    (_WEST, "ëéïóèö", "üáàçê", "de het een en van is dat op te in niet met voor zijn er aan ook als bij"),
    (_WEST, "áéíóúæö", "ýþð", "og er ekki sem til um en var hann af ma vi the"),
    (_CENTRE, "ąćęłńóśźż", "éüöä", "w i na z do nie jest to od po za przez oraz jak dla co tym"),
    (
        _CENTRE,
        "áčďéěíňřšťúůýžó",
        "ôäöü",
        "v na se je do z s o to po ve za od jako aby pro nebo byl jsou pouze",
    ),
    (
        _CENTRE,
        "áčďéíľňšťúýžóôä",
        "ĺŕěřö",
        "a v na sa je do z s o to po vo za od ako aby pre alebo bol nie pri pod",
    ),
    (_CENTRE, "áéíóöőúüű", "äç", "a az egy nem hogy is van volt meg ez de csak mint el ha fel"),
    (
        _CENTRE,
        "ăâîşţ",
        "șțéö",
        "de la cu un o pe din care nu mai este sau ca se lui al ale prin pentru nu fost fi poate sunt",
    ),
    (
        _CENTRE,
        "čćđšž",
        "éöüáë",
        "je u i na se da za od su kao iz sa in ki pri po ne bi ili ni med ali bo kot so nije nema koristi v",
    ),
    (("cp1254",), "çğıöşüİ", "âîûé", "ve bir bu da de ile en ne gibi olan her daha var sonra kadar iki"),
    (("cp1257",), "ąčęėįšųūž", "óéäö", "ir kad yra su tai iki bet kaip nei po dar prie nuo arba jis ne"),
    (("cp1257",), "āčēģīķļņšūž", "ōŗ", "un ir no ar par uz ka tas vai lai pie bet kas nav nevar tika"),
    ((*_WEST, "cp1257"), "äöüõšž", "é", "ja on ei kui see ka et ning mis oli ta tema kas pole"),
    (_CYRILLIC, "оеаинтсрвлкмдпу", "бгёжзйфхцчшщъыьэюя", ""),
    (_CYRILLIC, "оанівтерслкдмпу", "бгґєжзиїйфхцчшщьюя’ъ", ""),
    (("cp1253", "iso-8859-7"), "αοιετσνηυρπκμλςόίάέήώύ", "βγδζθξφχψωϊ", ""),
    (("cp1255",), "יוהלאתרבמשנעדקחםכ", "פגטצסזןךףץ", ""),
    (("cp1256", "iso-8859-6"), "المينرتوبةعدسفهكقحجأ", "آإئءؤثخذزشصضطظغىپچژگ،؛؟ًٌٍَُِّْ", ""),
    (("cp874",), "านรอกเงวมยลตทคสแดบปหจพชไขะำ่้ีิัุู็์ื", "", ""),
    (("cp932", "euc_jp"), _HIRAGANA + _WIDE, _KATAKANA + "ー々" + _CJK, ""),
    (
        ("gb18030",),
        "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种"
        "事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公"
        "此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特"
        "代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电"
        "每请夜整早亮灯港船光天" + _WIDE,
        _CJK,
        "",
    ),
    (
        ("big5",),
        "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種"
        "事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把機十民第公"
        "此已工使情明性知全三又關點正業外將兩高間由問很最重並物手應戰向頭文體政美相見被利什二等產或新己制身果加西斯月話合回特"
        "代內信表化老給世位次度門任常先海通教兒原東聲提立及比員解水名真論處走義各入幾口認條平系氣題活爾更別打女變四神總何電"
        "每請夜整早亮燈港船光天" + _WIDE,
        _CJK,
        "",
    ),
    (
        ("cp949",),
        "이다는의에을를가고하은로기지도사한어서대리나인시자해아그있일수정전과으게부장들제보스여상라주여만구경원안성동했있었"
        "습니까요것모든중및와년월물방비소조무문마용공관련생러때면신내되된될적우개위오세야말또더며할거된",
        _HANGUL,
        "",
    ),
)


def languages() -> tuple[Language, ...]:
    return tuple(
        Language(encodings, frozenset(letters), frozenset(rare), frozenset(words.encode().split()))
        for encodings, letters, rare, words in _TABLE
    )
