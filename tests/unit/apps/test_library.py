"""What the library finds."""

from pathlib import Path

from apps.chat.library import Library, documents, own_library, passages_of


def test_the_library_finds_what_the_documents_say_and_nothing_of_what_they_do_not() -> None:
    assert "operations.md" in {
        passage.document for passage, _ in own_library().find("What is a dead letter?")
    }
    assert own_library().find("xyzzy") == []
    assert own_library().find("") == []
    assert len(documents()) >= 7


def test_code_and_headings_are_no_passages(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    long = "A sentence that is long enough to be a passage of its own, about kangaroos."
    path.write_text(f"# Top\n\n{long}\n\n```sh\n{long}\n```\n\nshort\n\n## Below\n{long}\n")
    passages = list(passages_of(path))
    assert [passage.heading for passage in passages] == ["Top", "Below"]
    assert Library(passages).find("kangaroo kangaroos")
