"""SQL for fields that hold a list of texts."""

from recsys_pipeline.core.dataset.schema import quoted

_ELEMENT = r"""'[^']*'|"[^"]*"|[^\[\],\s][^\[\],]*"""


def list_elements(text: str, separator: str) -> str:
    """SQL of the elements of a JSON list (Parquet's come as such), of one as Python writes it, or of a text with a
    separator between them."""
    from_json = f"""from_json({text}, '["VARCHAR"]')"""
    quotes = quoted("'\"")
    found = f"regexp_extract_all({text}, {quoted(_ELEMENT)}, 0)"
    from_python = f"list_transform({found}, lambda f: trim(trim(f), {quotes}))"
    return f"""case when {text} like '[%]' and json_valid({text}) then {from_json}
                    when {text} like '[''%]' or {text} like '["%]' then {from_python}
                    else string_split({text}, {quoted(separator)}) end"""
