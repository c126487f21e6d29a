"""Sentences of many languages, in the code pages they used to be written in."""

FRENCH = (
    "Le phare à l'entrée du port est allumé dès la tombée de "
    "la nuit. Où que l'on soit, la lumière guide le pêcheur jusqu'à la côte."
)
SPANISH = (
    "El faro está situado en la entrada del puerto. ¿Cuándo sube "
    "la marea? La señal de niebla suena mañana también."
)
ITALIAN = (
    "Il faro è all'ingresso del porto. La marea è più alta perché "
    "c'è la luna piena; così il guardiano può vedere già la città."
)
PORTUGUESE = (
    "O farol está à entrada do porto. A maré não sobe à noite; "
    "os pescadores são avisados pela capitania, também na região de Setúbal."
)
DANISH = (
    "Fyrtårnet står ved indsejlingen til havnen. Tågesignalet "
    "høres på lang afstand, når skibene sejler forbi øen."
)
SWEDISH = (
    "Fyren står vid inloppet till hamnen. Dimsignalen hörs på "
    "långt håll när fartygen går förbi ön. Åtta båtar är på väg."
)
GERMAN = "Das Überqueren der Straße ist gefährlich. Der Leuchtturmwärter hört das Nebelhorn öfter als früher."
FINNISH = (
    "Majakka seisoo sataman sisäänkäynnin äärellä. Sumumerkki "
    "kuuluu pitkälle, kun laivat kulkevat saaren ohi yöllä."
)
ENGLISH = "The mate didn’t hear “slow ahead” – the fee is £12, or €14, per metre. Café Zürich is closed."
POLISH = (
    "Latarnia morska stoi przy wejściu do portu. Łódź płynie "
    "wzdłuż wybrzeża, a żeglarze słyszą sygnał mgłowy."
)
CZECH = "Maják stojí u vjezdu do přístavu. Žluťoučký kůň úpěl ďábelské ódy a námořníci slyšeli mlhový signál."
HUNGARIAN = (
    "A világítótorony a kikötő bejáratánál áll. Az őr minden "
    "este fölkapcsolja a fényt, és hallgatja a ködkürtöt, mert sűrű a köd."
)
ROMANIAN = (
    "Farul se află la intrarea în port. Pescarii aud semnalul "
    "de ceaţă şi ştiu că ţărmul este aproape, dar nu văd nimic în noapte."
)
TURKISH = (
    "Deniz feneri limanın girişinde duruyor. Gelgit günde iki "
    "kez yükselir, şişli balıkçılar bunu çok iyi bilir."
)
LITHUANIAN = (
    "Švyturys stovi prie įplaukos į uostą. Žvejai girdi rūko "
    "signalą ir žino, kad krantas yra arti, nors nieko nemato."
)
RUSSIAN = (
    "Маяк стоит у входа в гавань. Приливы и отливы зависят от Луны, и каждый рыбак знает их время наизусть."
)
UKRAINIAN = "Маяк стоїть біля входу до гавані. Рибалки чують сигнал у тумані й знають, що берег уже близько."
GREEK = "Ο φάρος βρίσκεται στην είσοδο του λιμανιού. Η παλίρροια ανεβαίνει δύο φορές την ημέρα."
HEBREW = "המגדלור נמצא בכניסה לנמל. הגאות עולה פעמיים ביום והדייגים יודעים זאת היטב."
ARABIC = "المد والجزر ظاهرة طبيعية تحدث بسبب جاذبية القمر. الميناء مفتوح من أبريل إلى نوفمبر."
THAI = "น้ำขึ้นน้ำลงเกิดจากแรงดึงดูดของดวงจันทร์ท่าเรือเปิดตั้งแต่เดือนเมษายนถึงเดือนพฤศจิกายน"
JAPANESE = "潮の満ち引きは月の引力によって起こります。港は四月から十一月まで開いています。灯台の光は遠くまで届きます。"
CHINESE = "潮汐是由月球引力引起的海水周期性涨落现象。港口每年四月至十一月开放。灯塔的光可以照到很远的地方。"
TAIWANESE = "潮汐是由月球引力引起的海水週期性漲落現象。港口每年四月至十一月開放。燈塔的光可以照到很遠的地方。"
KOREAN = (
    "조석은 달의 인력에 의해 발생합니다. 항구는 사월부터 십일월까지 열립니다. 등대의 빛은 멀리까지 닿습니다."
)

WESTERN = [FRENCH, SPANISH, ITALIAN, PORTUGUESE, DANISH, SWEDISH, GERMAN, FINNISH]
IN_ENCODINGS = [
    *((text, encoding) for text in WESTERN for encoding in ("cp1252", "latin-1", "iso-8859-15")),
    *((text, encoding) for text in WESTERN for encoding in ("mac-roman", "cp850")),
    (ENGLISH, "cp1252"),
    *(
        (text, encoding)
        for text in (POLISH, CZECH, HUNGARIAN, ROMANIAN)
        for encoding in ("cp1250", "iso-8859-2")
    ),
    (TURKISH, "cp1254"),
    (LITHUANIAN, "cp1257"),
    *((RUSSIAN, encoding) for encoding in ("cp1251", "koi8-r", "cp866", "iso-8859-5", "mac-cyrillic")),
    *((UKRAINIAN, encoding) for encoding in ("cp1251", "koi8-u")),
    *((GREEK, encoding) for encoding in ("cp1253", "iso-8859-7")),
    (HEBREW, "cp1255"),
    (ARABIC, "cp1256"),
    (THAI, "cp874"),
    *((JAPANESE, encoding) for encoding in ("cp932", "shift_jis", "euc_jp", "iso2022_jp")),
    (CHINESE, "gb2312"),
    (CHINESE, "gb18030"),
    (TAIWANESE, "big5"),
    (KOREAN, "euc_kr"),
]
