"""CSV files of images as spreadsheets, pandas, R and people write them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from src.data.csv_lines import Columns, read_lines
from src.data.datasets.csv_file import CSVFile
from src.errors import UsageError
from tests.data.test_folder_layout import require_cases
from tests.data.test_own_images import photos

COLUMNS = Columns("path", ["label"], "split", None)

# A file with two images, in the forms that programs write.
FORMS: dict[str, bytes] = {
    "commas": b"path,label\ncat/0.png,cat\ndog/0.png,dog\n",
    "semicolons of a spreadsheet": b"path;label\r\ncat/0.png;cat\r\ndog/0.png;dog\r\n",
    "a mark and semicolons": b"\xef\xbb\xbfpath;label\r\ncat/0.png;cat\r\ndog/0.png;dog\r\n",
    "a line that names the separator": b"sep=;\r\npath;label\r\ncat/0.png;cat\r\ndog/0.png;dog\r\n",
    "tabs": b"path\tlabel\ncat/0.png\tcat\ndog/0.png\tdog\n",
    "vertical bars": b"path|label\ncat/0.png|cat\ndog/0.png|dog\n",
    "tabs in UTF-16": "path\tlabel\r\ncat/0.png\tcat\r\ndog/0.png\tdog\r\n".encode("utf-16"),
    "UTF-16 with the high byte first": b"\xfe\xff"
    + "path,label\ncat/0.png,cat\ndog/0.png,dog\n".encode("utf-16-be"),
    "line ends of old Macs": b"path,label\rcat/0.png,cat\rdog/0.png,dog\r",
    "spaces after the commas": b"path, label\ncat/0.png, cat\ndog/0.png, dog\n",
    "spaces before quotes": b'path, "label"\ncat/0.png, "cat"\ndog/0.png, "dog"\n',
    "capitals": b"Path,LABEL\ncat/0.png,cat\ndog/0.png,dog\n",
    "an index without a name": b",path,label\n0,cat/0.png,cat\n1,dog/0.png,dog\n",
    "lines without values at the end": b"path,label\ncat/0.png,cat\ndog/0.png,dog\n,\n\n , \n",
    "a comma at the end of each line": b"path,label\ncat/0.png,cat,\ndog/0.png,dog,\n",
    "commas in quotes": b'path,label,note\ncat/0.png,cat,"a, b"\ndog/0.png,dog,c;d\n',
    "semicolons in a value": b"path,label,note\ncat/0.png,cat,a;b;c;d\ndog/0.png,dog,\n",
    "quotes after a space in a note": b'path,label,note\ncat/0.png,cat, "big" cat\n'
    b"dog/0.png,dog,\n",
    "marks of repetition": b'path,label,note\ncat/0.png,cat, "\ndog/0.png,dog, "\n',
    "a note of two lines": b'path,label,note\ncat/0.png, "cat","a\nb"\ndog/0.png,dog, "c\nd"\n',
    "an open quote after a space": b'path,label,note\ncat/0.png,cat, "big\ndog/0.png,dog,\n',
    "quotes after a space in a name": b'path,label, "big" cat\ncat/0.png,cat,\ndog/0.png,dog,\n',
    "a column twice": b"path,label,label\ncat/0.png,cat,cat\ndog/0.png,dog, dog\n",
    "a column twice, one with a space": b"path,label, label\ncat/0.png,cat,1\ndog/0.png,dog,2\n",
    "no line end at the end": b"path,label\ncat/0.png,cat\ndog/0.png,dog",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_read_in_every_form_that_programs_write(form: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(FORMS[form])
    lines = read_lines(file, COLUMNS).lines
    assert [(line.path, line.label) for line in lines] == [
        ("cat/0.png", "cat"),
        ("dog/0.png", "dog"),
    ]


def test_a_line_is_named_by_its_number_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(b"sep=;\npath;label\n\ncat/0.png;cat\n;dog\n")
    with pytest.raises(UsageError, match="none on line 5"):
        read_lines(file, COLUMNS)


# Mistakes in a file, and the messages about them.
REFUSED: dict[str, tuple[bytes, str]] = {
    "a label with a comma": (
        b"path,label\na.png,cats, dogs\n",
        "2 values on every line, as in the first one; found 3 on line 2; put a value that contains "
        "the separator in quotes, or name the column in the first line",
    ),
    "a path with a comma": (b"path,label\na, b.png,cat\n", "found 3 on line 2"),
    "row names without a column, as R writes them": (
        b'"path","label"\n"1","a.png","cat"\n',
        "found 3 on line 2",
    ),
    "two columns of labels": (
        b"path,label,label\na.png,cat,7\n",
        "one column label; found 2 that differ on",
    ),
    "quotes that are wrong": (b'path,label\n"a.png" x,cat\n', "',' expected after"),
    "quotes that are open": (b'path, "label"\na.png, "cat\n', "unexpected end of data"),
    "no separator in the line that names it": (b"sep=\n\npath,label\na.png,cat\n", "found sep="),
    "a separator that is none": (b"sep=a\npath,label\na.png,cat\n", "found sep=a"),
    "usual names": (
        b"filename;class\na.png;cat\n",
        "found filename, class; set data.path_column=filename data.label_column=class",
    ),
    "one usual name": (b"image_id,label\na,cat\n", "set data.path_column=image_id, or write"),
    "names of no known kind": (b"foo,bar\na,b\n", "data.path_column=NAME data.label_column=NAME"),
    "no names": (b"a.png,cat\nb.png,dog\n", "or write the names of the columns into the first li"),
    "two columns that differ in case": (b"Path,PATH,label\na,b,c\n", "found Path, PATH, label"),
    "many columns": (
        ",".join(f"c{n}" for n in range(99)).encode() + b"\n",
        "c8, c9 and more; set data.path_column=NAME",
    ),
    "a workbook": (b"PK\x03\x04" + bytes(50), "found a workbook; save it as CSV UTF-8"),
    "a workbook of old": (b"\xd0\xcf\x11\xe0" + bytes(50), "found a workbook"),
    "letters of Windows": (b"path,label\na.png,caf\xe9\n", "which spreadsheets call CSV UTF-8"),
    "nothing": (b"", "found an empty file"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_in_a_file_is_named_in_one_line(mistake: str, tmp_path: Path) -> None:
    content, message = REFUSED[mistake]
    file = tmp_path / "labels.csv"
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_lines(file, COLUMNS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# The name of the column of splits in a file, the option, and how the column is found.
SPLIT_NAMES = [
    ("split", "split", "exact"),
    ("Split", "split", "none"),
    ("SPLIT", "split", "none"),
    (" split", "split", "none"),
    ("split ", "split", "none"),
    ("fold", "split", "none"),
    ("split", None, "none"),
    ("Split", "Split", "exact"),
    ("Split", "SPLIT", "alike"),
    (" split", " split", "exact"),
    ("split", " split", "alike"),
    ("Fold", "fold", "alike"),
    (" fold", "fold", "alike"),
    ("split", "fold", "absent"),
]


@pytest.mark.parametrize(("name", "option", "found"), SPLIT_NAMES)
def test_the_column_of_splits_is_like_the_option_if_it_was_asked_for(
    name: str, option: str | None, found: str, tmp_path: Path
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"path,label,{name}\na.png,cat,test\n")
    read = read_lines(file, Columns("path", ["label"], option, None))
    assert read.split == found
    assert read.lines[0].split == ("test" if found in {"exact", "alike"} else "")


@pytest.mark.parametrize("head", ["path,label", " path,label", "path, label", "path ,label "])
@pytest.mark.parametrize("option", ["label", " label", "LABEL", "label "])
def test_spaces_around_the_name_of_a_column_do_not_count(
    head: str, option: str, tmp_path: Path
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"{head}\na.png,cat\n")
    [line] = read_lines(file, Columns(" path", [option], None, None)).lines
    assert (line.path, line.label) == ("a.png", "cat")


@pytest.mark.parametrize("column", ["none", "fold"])
def test_a_column_of_splits_that_is_asked_for_must_be_there(column: str, tmp_path: Path) -> None:
    lines = images("{}/{}.png")
    message = (
        f"expected the column {column}; found path, label; name one of these columns, or set "
        "data.split_column=null to draw the splits"
    )
    data = listed(tmp_path, *lines, split_column=column)
    with pytest.raises(UsageError, match=message):
        data.prepare_data()
    with pytest.raises(UsageError, match=message):
        data.load()


def test_splits_are_drawn_without_a_column_of_splits(tmp_path: Path) -> None:
    drawn = listed(tmp_path / "drawn", *images("{}/{}.png"))
    before = {split: indices.tolist() for split, (_, indices) in drawn.load().items()}
    lines = [f"{line},train" for line in images("{}/{}.png")]
    data = listed(tmp_path / "other", *lines, head="path,label,split", split_column=None)
    assert {split: indices.tolist() for split, (_, indices) in data.load().items()} == before
    assert data.notes == []


def test_a_column_of_groups_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("path,label\na.png,cat\n")
    with pytest.raises(UsageError, match="expected the column patient; found path, label"):
        read_lines(file, Columns("path", ["label"], "split", "patient"))


def listed(root: Path, *lines: str, head: str = "path,label", **options: object) -> CSVFile:
    photos(root, 8)
    (root / "labels.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return CSVFile(str(root / "labels.csv"), image_size=8, num_workers=0, **options)


def images(write: str) -> list[str]:
    return [
        f"{write.format(name, number)},{name}" for name in ("cat", "dog") for number in range(8)
    ]


def test_a_split_column_in_capitals_is_used_if_it_was_asked_for(tmp_path: Path) -> None:
    lines = [
        f"{name}/{number}.png,{name},{'TRAIN' if number else 'Test'}"
        for name in ("cat", "dog")
        for number in range(8)
    ]
    data = listed(tmp_path, *lines, head="Path,Label,Split", split_column="SPLIT")
    assert data.count("test") == 2
    assert CSVFile(str(tmp_path / "labels.csv")).count("test") == 4


@pytest.mark.parametrize("values", ["1 2", "a ", "fold"])
@pytest.mark.parametrize("name", ["Split", "SPLIT", " split"])
def test_a_column_that_nobody_asked_for_may_have_any_values(
    name: str, values: str, tmp_path: Path
) -> None:
    words = values.split(" ")
    lines = [f"{line},{words[at % len(words)]}" for at, line in enumerate(images("{}/{}.png"))]
    data = listed(tmp_path, *lines, head=f"path,label,{name}")
    data.prepare_data()
    assert (data.count("test"), data.notes) == (4, [])


@pytest.mark.parametrize("name", ["subset", "Split", " split", "partition", "set", "data set"])
def test_another_column_of_splits_is_told(name: str, tmp_path: Path) -> None:
    lines = [
        f"{line},{'train' if at % 4 else 'val'}" for at, line in enumerate(images("{}/{}.png"))
    ]
    data = listed(tmp_path, *lines, head=f"path,label,{name}")
    option = f"'data.split_column={name}'" if " " in name else f"data.split_column={name}"
    assert data.notes == [
        f"the column {name.strip()} has names of splits and is not used: {option} uses it"
    ]
    used = CSVFile(str(tmp_path / "labels.csv"), split_column=name)
    assert (used.count("val"), used.notes) == (4, [])


@pytest.mark.parametrize("values", ["abcdefgh", "train", "yes no", "0 1"])
def test_a_column_without_names_of_splits_is_not_told(values: str, tmp_path: Path) -> None:
    words = values.split() if " " in values else [values] if values == "train" else list(values)
    lines = [f"{line},{words[at % len(words)]}" for at, line in enumerate(images("{}/{}.png"))]
    assert listed(tmp_path, *lines, head="path,label,other").notes == []


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("is_valid", "True False"),
        ("is_test", "0 1"),
        ("Train", "yes no"),
        ("fold", "0 1 2 3 4"),
        ("kfold", "1 2"),
        ("in_train_set", "1 0"),
        ("validation", "0 1"),
    ],
)
def test_a_column_of_flags_or_folds_is_told(name: str, values: str, tmp_path: Path) -> None:
    words = values.split()
    lines = [f"{line},{words[at % len(words)]}" for at, line in enumerate(images("{}/{}.png"))]
    data = listed(tmp_path, *lines, head=f"path,label,{name}")
    [note] = data.notes
    assert note.startswith(f"the column {name} is not used: write train, val or test into it")
    assert note.endswith(f"data.split_column={name}")


@pytest.mark.parametrize(("name", "values"), [("folder", "a b"), ("fold", "0"), ("trainer", "a b")])
def test_a_column_that_says_nothing_of_splits_is_not_told(
    name: str, values: str, tmp_path: Path
) -> None:
    words = values.split()
    lines = [f"{line},{words[at % len(words)]}" for at, line in enumerate(images("{}/{}.png"))]
    assert listed(tmp_path, *lines, head=f"path,label,{name}").notes == []


@pytest.mark.parametrize("write", ["{0}\\{1}.png", ".\\{0}\\{1}.png", "{0}\\..\\{0}/{1}.png"])
def test_paths_of_windows_are_read(write: str, tmp_path: Path) -> None:
    data = listed(tmp_path, *images(write))
    data.prepare_data()
    assert data.count("train") + data.count("val") + data.count("test") == 16


def test_a_file_with_a_backslash_in_its_name_is_that_file(tmp_path: Path) -> None:
    photos(tmp_path, 8)
    (tmp_path / "cat" / "0.png").rename(tmp_path / "cat\\0.png")
    lines = [line if line != "cat/0.png,cat" else "cat\\0.png,cat" for line in images("{}/{}.png")]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *lines]))
    CSVFile(str(tmp_path / "labels.csv"), image_size=8, num_workers=0).prepare_data()


@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("separator", ["/", "\\"])
def test_letters_may_be_composed_in_the_file_or_on_the_disk(
    separator: str, on_disk: str, in_file: str, tmp_path: Path
) -> None:
    photos(tmp_path, 8)
    for name in ("cat", "dog"):
        folder = tmp_path / unicodedata.normalize(on_disk, f"{name}é")
        (tmp_path / name).rename(folder)
        (folder / "0.png").rename(folder / unicodedata.normalize(on_disk, "0é.png"))
    lines = []
    for line in images("{}/{}.png"):
        path, label = line.split(",")
        name, file = path.split("/")
        file = file.replace("0", "0é")
        lines.append(unicodedata.normalize(in_file, f"{name}é{separator}{file},{label}"))
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *lines]))
    data = CSVFile(str(tmp_path / "labels.csv"), image_size=8, num_workers=0)
    data.prepare_data()
    assert data.count("train") + data.count("val") + data.count("test") == 16


# The path of a line, and the end of the message.
MISSING = {
    "cat/twice": "write names with their endings into the column path, as twice.jpg",
    "cat/0.PNG": "write the name as the file has it, 0.png",
    "cat/9.png": "mend the file, or set data.file",
    "cow/0.png": "mend the file, or set data.file",
    "https://example.org/0.png": "mend the file, or set data.file",
}


@pytest.mark.parametrize("path", MISSING)
def test_a_missing_file_is_named_with_what_is_like_it(path: str, tmp_path: Path) -> None:
    if path == "cat/0.PNG":
        require_cases(tmp_path, "0.png 0.PNG")
    data = listed(tmp_path, *images("{}/{}.png"), f"{path},cat")
    for name in ("twice.png", "twice.jpg"):
        (tmp_path / "cat" / name).write_bytes((tmp_path / "cat/0.png").read_bytes())
    with pytest.raises(UsageError) as caught:
        data.prepare_data()
    message = str(caught.value)
    assert f"{tmp_path}/{path}, which is no file, on line 18; {MISSING[path]}" in message


@pytest.mark.parametrize("write", ["{}/{}", "{}\\{}", "./{}/{}"])
def test_a_name_without_its_ending_is_the_image_with_that_name(write: str, tmp_path: Path) -> None:
    data = listed(tmp_path, *images(write))
    for name in ("0.txt", "00.png", "0.png.bak", "7.PNG"):
        (tmp_path / "cat" / name).write_bytes((tmp_path / "cat/0.png").read_bytes())
    (tmp_path / "cat/7.png").unlink()
    data.prepare_data()
    data.setup("fit")
    found = {Path(path) for path in data.source._images.paths}
    assert found == {
        tmp_path / each / f"{number}.{'PNG' if (each, number) == ('cat', 7) else 'png'}"
        for each in ("cat", "dog")
        for number in range(8)
    }


# A column for each class, as competitions publish them.
ONE_HOT = {
    "floats": "image,cat,dog\ncat/0,1.0,0.0\ndog/0,0.0,1.0\n",
    "whole numbers and semicolons": "image;cat;dog\ncat/0;1;0\ndog/0;0;1\n",
    "words and another column": "image,cat,age,dog\ncat/0,True,7,False\ndog/0,False,8,True\n",
    "capitals": "image,CAT,Dog\ncat/0,1,0\ndog/0,0,1\n",
}


@pytest.mark.parametrize("form", ONE_HOT)
def test_a_column_for_each_class_gives_the_label(form: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(ONE_HOT[form])
    lines = read_lines(file, Columns("image", ["cat", "dog"], "split", None)).lines
    assert [(line.path, line.label.lower()) for line in lines] == [
        ("cat/0", "cat"),
        ("dog/0", "dog"),
    ]


@pytest.mark.parametrize(
    ("values", "found"),
    [("1,1", "1, 1"), ("0,0", "0, 0"), ("0.3,0.7", "0.3, 0.7"), (",1", ", 1"), ("2,0", "2, 0")],
)
def test_a_line_that_is_of_no_single_class_is_refused(
    values: str, found: str, tmp_path: Path
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"image,cat,dog\ncat/0,1,0\ncat/1,{values}\n")
    with pytest.raises(UsageError, match=f"2 classes; found {found} on line 3; remove images of"):
        read_lines(file, Columns("image", ["cat", "dog"], "split", None))


def test_columns_of_classes_that_are_missing_are_named(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("image,cat,dog\ncat/0,1,0\n")
    with pytest.raises(UsageError, match="expected the columns image, cat and cow; found image"):
        read_lines(file, Columns("image", ["cat", "cow"], None, None))
    with pytest.raises(UsageError, match=r"label_column: expected a column, .* name some of i"):
        read_lines(file, Columns("image", [], None, None))
    with pytest.raises(UsageError, match=r"or data.label_column=\[A,B\] for columns A and B of 0"):
        read_lines(file, Columns("image", ["label"], None, None))


@pytest.mark.parametrize("path", ["iVBOR" * 999, "iVBOR/w0K" * 999, "a\0.png", "a\0/b.png"])
def test_a_path_that_no_file_can_have_is_refused_in_one_line(path: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"on line 18; mend the file|line contains NUL"):
        listed(tmp_path, *images("{}/{}.png"), f"{path},cat").prepare_data()


def test_all_missing_files_are_counted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cat/x0, which is no file, on line 2 and 15 more lines"):
        listed(tmp_path, *images("{}/x{}")).prepare_data()


@pytest.mark.parametrize("write", ["{0}/{1}/{2}.png", "../photos/{1}/{2}.png"])
def test_images_outside_of_the_folder_name_the_option_that_takes_them(
    write: str, tmp_path: Path
) -> None:
    photos(tmp_path / "photos", 8)
    lines = [
        f"{write.format(tmp_path / 'photos', name, number)},{name}"
        for name in ("cat", "dog")
        for number in range(8)
    ]
    file = tmp_path / "lists" / "labels.csv"
    file.parent.mkdir()
    file.write_text("\n".join(["path,label", *lines]))
    with pytest.raises(UsageError, match=r"set data.root to a folder that holds all images, where"):
        CSVFile(str(file)).prepare_data()
    if write.startswith("{0}"):
        CSVFile(str(file), root=str(tmp_path)).prepare_data()


@pytest.mark.parametrize("label", ["Cat", "CAT", "nan", "<NA>", "null"])
def test_labels_that_may_be_a_mistake_are_told(label: str, tmp_path: Path) -> None:
    lines = images("{}/{}.png")
    for at in range(4):
        lines[at] = f"cat/{at}.png,{label}"
    [note] = listed(tmp_path, *lines).notes
    if label.lower() == "cat":
        assert note.startswith(f"'{label}' and 'cat' are classes of their own, though their names")
    else:
        assert note == f"a class is called {label}, as a missing label is written"


def test_labels_in_two_forms_of_an_accent_are_told(tmp_path: Path) -> None:
    forms = [unicodedata.normalize(form, "chat épais") for form in ("NFC", "NFD")]
    lines = [f"cat/{number}.png,{forms[number % 2]}" for number in range(8)]
    [note] = listed(tmp_path, *lines, *images("{}/{}.png")[8:]).notes
    assert "differ only in case, spaces, the form of accents or the zeros of a number" in note


@pytest.mark.parametrize("labels", [("7", "07"), ("7", "7.0"), ("07", "7.00"), ("0", "00")])
def test_labels_that_are_one_number_are_told(labels: tuple[str, str], tmp_path: Path) -> None:
    lines = [f"cat/{number}.png,{labels[number % 2]}" for number in range(8)]
    lines += [f"dog/{number}.png,70" for number in range(8)]
    [note] = listed(tmp_path, *lines).notes
    assert note.startswith(" and ".join(map(repr, sorted(labels))))


@pytest.mark.parametrize("labels", [("7", "70"), ("7", "7.5"), ("7", "17"), ("1e3", "1000")])
def test_labels_that_are_different_numbers_are_not_told(
    labels: tuple[str, str], tmp_path: Path
) -> None:
    lines = [f"cat/{number}.png,{labels[number % 2]}" for number in range(8)]
    assert listed(tmp_path, *lines).notes == []


def test_a_file_with_one_label_names_the_option_of_the_column(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found 1: cat; name the column with the labels by data"):
        listed(tmp_path, *images("{}/{}.png")[:8]).prepare_data()


def test_many_classes_of_one_image_are_counted(tmp_path: Path) -> None:
    data = listed(tmp_path, *(f"cat/{number}.png,label {number}" for number in range(8)))
    with pytest.raises(UsageError, match=r"too few of label 0, .*label 4, 3 more classes; add"):
        data.count("train")


# A label, the other classes, and the classes of which it consists.
COMBINED = {
    "scab frog_eye_leaf_spot": ("scab frog_eye_leaf_spot", "frog_eye_leaf_spot and scab"),
    "scab,rust": ("scab rust", "rust and scab"),
    "scab, leaf rust": ("scab leaf_rust", ""),
    "rust; scab": ("scab rust", "rust and scab"),
    "rust|scab|mildew": ("rust scab mildew", "mildew and rust and scab"),
    "rust | scab": ("rust scab", "rust and scab"),
    "Rust SCAB": ("rust scab", "rust and scab"),
    "rust scab;": ("rust scab", "rust and scab"),
    "2 10": ("2 10 3", "10 and 2"),
    "rust;;scab": ("rust scab", "rust and scab"),
    "rust, scab mildew": ("rust scab mildew", "mildew and rust and scab"),
    "leaf rust, scab": ("leaf-rust scab", ""),
    "rust_scab": ("rust scab", ""),
    "rust scab": ("rust", ""),
    "rust rust": ("rust scab", ""),
    "leaf rust": ("rust scab", ""),
    " ": ("rust scab", ""),
}


@pytest.mark.parametrize("label", COMBINED)
def test_labels_that_combine_others_are_told(label: str, tmp_path: Path) -> None:
    others, parts = COMBINED[label]
    photos(tmp_path, 20)
    labels = [*others.split(), *[label.strip() or "nothing"] * 3]
    lines = [f'"cat/{number}.png";"{labels[number % len(labels)]}"' for number in range(20)]
    lines.append(lines[-1])
    (tmp_path / "labels.csv").write_text("\n".join(["path;label", *lines]))
    data = CSVFile(str(tmp_path / "labels.csv"), image_size=8, num_workers=0)
    told = [note for note in data.notes if "several classes" in note]
    count = sum(labels[number % len(labels)] == label for number in range(20))
    assert told == (
        [
            f"{count} images have a label of several classes, such as {label!r} of {parts}: each "
            "combination is a class of its own, because an image has one class"
        ]
        if parts
        else []
    )
