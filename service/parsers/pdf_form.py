"""What is filled into the form on a PDF page."""

from collections.abc import Callable, Iterator
from ctypes import create_string_buffer
from typing import Any

from pypdfium2 import PdfPage
from pypdfium2 import raw as pdfium

_WITH_A_VALUE = {
    pdfium.FPDF_FORMFIELD_TEXTFIELD,
    pdfium.FPDF_FORMFIELD_COMBOBOX,
    pdfium.FPDF_FORMFIELD_LISTBOX,
}
_TO_BE_CHECKED = {pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON}
_UNSEEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW


def filled_in(page: PdfPage) -> str:
    """A line for every field with a value, "name: value"; "" where the document has no form."""
    if not page.formenv:
        return ""
    return "\n".join(dict.fromkeys(_fields(page)))  # a field may be shown in several places


def _fields(page: PdfPage) -> Iterator[str]:
    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if annotation:
            yield from _field(page.formenv, annotation)
            pdfium.FPDFPage_CloseAnnot(annotation)


def _field(form: Any, annotation: Any) -> Iterator[str]:
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    if pdfium.FPDFAnnot_GetFlags(annotation) & _UNSEEN or not _shows_its_value(form, annotation, kind):
        return
    value = _told(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)
    name = _told(pdfium.FPDFAnnot_GetFormFieldAlternateName, form, annotation)
    name = name or _told(pdfium.FPDFAnnot_GetFormFieldName, form, annotation)
    if value:
        yield f"{name}: {value}" if name else value


def _shows_its_value(form: Any, annotation: Any, kind: int) -> bool:
    if kind in _TO_BE_CHECKED:
        return bool(pdfium.FPDFAnnot_IsChecked(form, annotation))
    secret = pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & pdfium.FPDF_FORMFLAG_TEXT_PASSWORD
    return kind in _WITH_A_VALUE and not (kind == pdfium.FPDF_FORMFIELD_TEXTFIELD and secret)


def _told(ask: Callable[..., int], form: Any, annotation: Any) -> str:
    """pdfium says how many bytes it needs, then fills them with UTF-16 and a NUL."""
    length = ask(form, annotation, None, 0)
    buffer = create_string_buffer(length)
    pointer = pdfium.cast(buffer, pdfium.POINTER(pdfium.FPDF_WCHAR))
    ask(form, annotation, pointer, length)
    return buffer.raw.decode("utf-16-le", "replace").rstrip("\0").strip()
