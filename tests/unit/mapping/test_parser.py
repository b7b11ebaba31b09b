"""What the front door refuses, with file, line, column and a hint, and what it lets in."""

from __future__ import annotations

import pytest

from microseg import mapping as m
from microseg.mapping import limits

HEAD = "apiVersion: mapping.microseg.dev/v1\nname: t\n"
VM = "5b8b0a44-6a0e-4a6e-9a60-0123456789ab"


def problems(text: str) -> list[str]:
    with pytest.raises(m.MappingError) as refused:
        m.parse(text, "t.yaml")
    assert str(refused.value) == "\n".join(map(str, refused.value.problems))
    return [str(problem).removeprefix("t.yaml:") for problem in refused.value.problems]


def test_six_lines_are_a_mapping() -> None:
    mapping = m.parse(HEAD + "labels:\n  env:\n    fromTag: [env]\n    oneOf: [Prod, Dev]\n", "t.yaml")
    table = mapping.tables["env"]
    assert (table.from_tag, table.one_of, table.on_miss) == (("env",), ("Prod", "Dev"), m.OnMiss.HOLD)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the document is empty (it begins with apiVersion:)"),
        ("# only a comment\n", "2:1: the document is empty (it begins with apiVersion:)"),
        ("a: [", "2:1: not YAML: while parsing a flow node: did not find expected node content"),
        (
            "a:\n\t- b",
            (
                "2:1: not YAML: while scanning for the next token: found character that cannot start any token"
                " (indent with blanks, not tabs)"
            ),
        ),
        ("a: &x b", "1:4: anchors (&name) are not allowed (write the value out, or quote it)"),
        ("a: *x", "1:4: aliases (*name) are not allowed (write the value out, or quote it)"),
        ("a: !!str b", "1:4: YAML tags (!name) are not allowed (quote a text that begins with !)"),
        (
            "a: !!python/object/apply:os.system [x]",
            "1:4: YAML tags (!name) are not allowed (quote a text that begins with !)",
        ),
        ("a: !x", "1:4: YAML tags (!name) are not allowed (quote a text that begins with !)"),
        ("%YAML 1.1\n---\na: b", "1:1: YAML directives are not allowed (leave out the lines that begin with %)"),
        ("a: b\n---\nc: d", "2:1: a second document begins here (one mapping, one document)"),
        ("? [a]\n: b", "1:3: a key must be a single text (quote it)"),
        ("a: \x07", "1:4: the character U+0007 is not allowed"),
        ("é: x\nb: \x00", "2:4: the character U+0000 is not allowed"),
        ("é\né: \ud800", "2:4: a lone surrogate is not a character"),
        ("- a", "1:1: the document must be fields (key: value), not a list"),
        ("just text", "1:1: the document must be fields (key: value), not 'just text'"),
        ("~", "1:1: the document must be fields (key: value), not '~'"),
        (
            "kind: ConfigMap",
            (
                "1:1: this is a Kubernetes manifest, not a mapping "
                "(the mapping is the text under its data, mapping.yaml)"
            ),
        ),
        ("[" * 21, "1:21: nested deeper than 20 levels"),
        ("#" * (256 * 1024 + 1), "1:1: the document has 262145 bytes; at most 262144 are read"),
        ("[" + "a," * 30_001 + "]", "1:60000: the document has more than 30000 values"),
    ],
)
def test_text_that_is_no_plain_yaml_is_refused_at_its_place(text: str, expected: str) -> None:
    assert problems(text) == [expected]


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("no", "yes/no"),
        ("On", "yes/no"),
        ("true", "yes/no"),
        ("010", "a number"),
        ("1.10", "a number"),
        ("0x1F", "a number"),
        ("1_000", "a number"),
        ("12:30:00", "a number"),
        (".inf", "a number"),
        ("1e3", "a number"),
        ("0o17", "a number"),
        ("2024-01-01", "a date"),
        ("2024-01-01T00:00:00Z", "a date"),
        ("=", "a YAML default key"),
    ],
)
def test_what_yaml_reads_as_something_else_must_be_quoted(written: str, kind: str) -> None:
    (told,) = problems(f"{HEAD}labels: {{k: {{fromTag: [t], oneOf: [{written}]}}}}")
    assert told == f'3:36: labels.k.oneOf: YAML reads {written} as {kind}, not as a text (write "{written}" in quotes)'
    (told,) = problems(f"{HEAD}labels: {{k: {{fromTag: [t], values: {{{written}: v}}}}}}")
    assert told.startswith(f"3:37: a key of labels.k.values: YAML reads {written} as {kind}")
    for quote in "'\"":
        text = f"{HEAD}labels: {{k: {{fromTag: [t], oneOf: [{quote}{written}{quote}]}}}}"
        assert m.parse(text, "t").tables["k"].one_of == (written,)


def table(body: str) -> str:
    return f"labels: {{k: {body}}}"


OVERRIDE = f"{{vmId: {VM}, labels: {{k: v}}, reason: r, until: 2027-01-01T00:00:00Z}}"
K = "labels: {k: {fromTag: [t], oneOf: [v, W]}}\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # words and shapes
        (
            "lables: {}",
            ["1:1: the document has no labels", "3:1: the document has no field \"lables\" (did you mean 'labels'?)"],
        ),
        (
            table("{fromTag: [t], oneof: [x], default: d}"),
            ["3:28: labels.k has no field \"oneof\" (did you mean 'oneOf'?)"],
        ),
        (
            table("{fromTag: [t], oneOf: [x], onMiss: defualt}"),
            ["3:48: labels.k.onMiss can not be \"defualt\" (did you mean 'default'?)"],
        ),
        (table("{fromTag: t, oneOf: [x]}"), ["3:23: labels.k.fromTag must be a list (write [t])"]),
        (table("{fromTag: {t: x}, oneOf: [x]}"), ["3:23: labels.k.fromTag must be a list, not fields"]),
        (
            table("{fromTag: [], oneOf: [x]}"),
            ["3:23: labels.k.fromTag is an empty list, which no host can match (leave it out)"],
        ),
        (table("{fromTag: , oneOf: [x]}"), ["3:23: labels.k.fromTag must be a list, not nothing"]),
        (table("{fromTag: [[t]], oneOf: [x]}"), ["3:24: labels.k.fromTag must be a single text, not a list"]),
        (table("{fromTag: [{a: b}], oneOf: [x]}"), ["3:24: labels.k.fromTag must be a single text, not fields"]),
        (table("{fromTag: [t, t], oneOf: [x]}"), ['3:27: labels.k.fromTag names "t" twice']),
        (
            table("{fromTag: [t], oneOf: [x], normalize: [uper]}"),
            ['3:52: labels.k.normalize can not be "uper" (known: trim, lower)'],
        ),
        (table("{default: }"), ['3:23: labels.k.default has no value (an empty text is written "")']),
        (
            table("{default: ' x'}"),
            [
                (
                    "3:23: labels.k.default must not be empty, begin or end with a blank, or contain characters that "
                    "do not print"
                )
            ],
        ),
        (
            table('{default: "a\\u202eb"}'),
            [
                (
                    "3:23: labels.k.default must not be empty, begin or end with a blank, or contain characters that "
                    "do not print"
                )
            ],
        ),
        (
            table('{default: "a\\nb"}'),
            ["3:23: labels.k.default contains a control character (write one line of plain text)"],
        ),
        (table(f"{{default: {'x' * 256}}}"), ["3:23: labels.k.default is longer than 255 characters"]),
        ("labels: {k: {default: a}, k: {default: b}}", ['3:27: labels has the key "k" twice (first in line 3)']),
        ("labels: {~: {default: a}}", ['3:10: labels has an empty key (an empty text is written "")']),
        ("labels: {<<: {default: a}}", ["3:10: merge keys (<<) are not allowed (write the fields out)"]),
        (
            "labels: {a/b: {default: a}}",
            [
                (
                    '3:15: labels: "a/b" can not be the key of a label '
                    "(a letter, then letters, digits, - and _, at most 64)"
                )
            ],
        ),
        ("labels: {k: x}", ["3:13: labels.k must be fields (key: value), not 'x'"]),
        # tables that would be incomplete or ambiguous
        (table("{onMiss: keep}"), ["3:13: labels.k has no rule (give it fromTag, cases or default)"]),
        (table("{values: {a: b}, default: d}"), ["3:22: labels.k: values translate a tag, but no fromTag is named"]),
        (table("{fromTag: [t]}"), ["3:23: labels.k names no label value (list the known ones in oneOf or values)"]),
        (
            table("{fromTag: [t, T], oneOf: [x]}"),
            [
                (
                    '3:23: labels.k.fromTag names "t" and "T": tag keys ignore case, '
                    "so they are one tag (one of them is enough)"
                )
            ],
        ),
        (
            table("{fromTag: [t], oneOf: [x], onMiss: default}"),
            ["3:48: labels.k: onMiss is default, but there is no default"],
        ),
        (
            table("{fromTag: [t], values: {a: x, A: y}, normalize: [lower]}"),
            ['3:43: labels.k.values: "a" and "A" are the same after normalize, but have different labels'],
        ),
        (
            table("{fromTag: [t], oneOf: [x], cases: [{when: {os: [linux]}, value: X}], normalize: [lower]}"),
            ['3:77: labels.k: the labels "x" and "X" are the same after normalize (keep one spelling)'],
        ),
        (
            table("{cases: [{name: a, when: {os: [linux]}, value: x}, {name: a, when: {os: [linux]}, value: x}]}"),
            ['3:64: labels.k.cases: two cases are named "a" (first in line 3)'],
        ),
        (table("{cases: [{value: x}]}"), ["3:22: labels.k.cases[0] has no when"]),
        (table("{cases: [x]}"), ["3:22: labels.k.cases[0] must be fields (key: value), not 'x'"]),
        # conditions
        (
            table("{cases: [{when: {}, value: x}]}"),
            ["3:29: labels.k.cases[0].when asks nothing, so it would match every host"],
        ),
        (
            table("{cases: [{when: {tags: {}}, value: x}]}"),
            ["3:36: labels.k.cases[0].when.tags asks nothing (leave it out)"],
        ),
        (
            table("{cases: [{when: {tag: {a: [b]}}, value: x}]}"),
            ["3:30: labels.k.cases[0].when has no field \"tag\" (did you mean 'tags'?)"],
        ),
        (
            table("{cases: [{when: x, value: x}]}"),
            ["3:29: labels.k.cases[0].when must be fields (key: value), not 'x'"],
        ),
        (
            table("{cases: [{when: {labels: {a: [b]}, os: [linux]}, value: x}]}"),
            ["3:30: labels.k.cases[0].when: a label table may not ask for labels (only groups may)"],
        ),
        (
            table("{cases: [{when: {tags: {a: [b], A: [c]}}, value: x}]}"),
            [
                (
                    '3:48: labels.k.cases[0].when.tags asks for "a" and "A": tag keys ignore case, so they are one tag '
                    "(put the values in one list)"
                )
            ],
        ),
        (
            table("{cases: [{when: {tags: {a: ['*', b]}}, value: x}]}"),
            ['3:40: labels.k.cases[0].when.tags.a: "*" means present, whatever the value (leave out the rest: ["*"])'],
        ),
        (
            table("{cases: [{when: {os: [linus]}, value: x}]}"),
            ["3:35: labels.k.cases[0].when.os: no such system as \"linus\" (did you mean 'linux'?)"],
        ),
        (
            table("{cases: [{when: {location: [Australia East]}, value: x}]}"),
            [
                (
                    "3:41: labels.k.cases[0].when.location: Azure writes locations without blanks "
                    "(did you mean 'australiaeast'?)"
                )
            ],
        ),
        (
            table("{cases: [{when: {location: [aus*]}, value: x}]}"),
            [
                (
                    "3:41: labels.k.cases[0].when.location: patterns work only in name and resourceGroup "
                    '("aus*" would be compared as written)'
                )
            ],
        ),
        # the document
        ("owner: [a]\nlabels: {}", ["3:8: owner must be a single text, not a list"]),
        # overrides
        (
            f"{K}overrides: [{OVERRIDE.replace('k: v', 'K: v')}]",
            ["4:70: overrides[0].labels: no table is named \"K\" (did you mean 'k'?)"],
        ),
        (
            f"{K}overrides: [{OVERRIDE.replace('k: v', 'k: w')}]",
            ["4:70: overrides[0].labels: \"w\" is not a value of k (did you mean 'W'?)"],
        ),
        (
            f"{K}overrides: [{OVERRIDE.replace(VM, '5b8b')}]",
            [
                (
                    '4:20: overrides[0].vmId is "5b8b", not a whole vmId '
                    "(8-4-4-4-12 hex digits, as `az vm show --query vmId` prints)"
                )
            ],
        ),
        (f"{K}overrides: [{OVERRIDE.replace(', reason: r', '')}]", ["4:13: overrides[0] has no reason"]),
        (
            f"{K}overrides: [{OVERRIDE.replace('00Z', '00')}]",
            [
                (
                    '4:92: overrides[0].until is "2027-01-01T00:00:00", not an RFC 3339 time with a time zone '
                    "(such as 2027-01-31T00:00:00+11:00)"
                )
            ],
        ),
        (
            f"{K}overrides: [{OVERRIDE.replace('01-01T', '02-30T')}]",
            [
                (
                    '4:92: overrides[0].until is "2027-02-30T00:00:00Z", not an RFC 3339 time with a time zone '
                    "(such as 2027-01-31T00:00:00+11:00)"
                )
            ],
        ),
        (
            f"{K}overrides: [{OVERRIDE.replace('2027-01-01T00:00:00Z', '0001-01-01T00:00:00+01:00')}]",
            [
                (
                    '4:92: overrides[0].until is "0001-01-01T00:00:00+01:00", not an RFC 3339 time with a time zone '
                    "(such as 2027-01-31T00:00:00+11:00)"
                )
            ],
        ),
        (
            f"{K}overrides: [{OVERRIDE.replace('2027-01-01T00:00:00Z', '[]')}]",
            ["4:92: overrides[0].until must be a single text, not a list"],
        ),
        (
            f"{K}overrides: [{OVERRIDE}, {OVERRIDE.replace(VM, VM.upper())}]",
            ["4:115: overrides[1]: k of this VM is overridden twice (first in line 4)"],
        ),
        (
            f"{K}overrides: [{OVERRIDE.replace('k: v', 'k: no')}]",
            ['4:70: overrides[0].labels.k: YAML reads no as yes/no, not as a text (write "no" in quotes)'],
        ),
        # groups
        (f"{K}groups: [{{name: g}}]", ["4:10: groups[0] has no when"]),
        (f"{K}groups: [{{name: g, when: {{}}}}]", ["4:26: groups[0].when asks nothing, so it would match every host"]),
        (
            f"{K}groups: [{{name: g, when: {{labels: {{kk: [v]}}}}}}]",
            ["4:26: groups[0] asks for the label \"kk\", which has no table (did you mean 'k'?)"],
        ),
        (
            f"{K}groups: [{{name: g, when: {{os: [linux]}}}}, {{name: g, when: {{os: [windows]}}}}]",
            ['4:49: two groups are named "g" (put both into one group)'],
        ),
        (
            f"{K}groups: [{{name: g, when: {{os: [linux]}}, scope: {{}}}}]",
            ["4:48: groups[0].scope has no subscriptions"],
        ),
        # tests
        (f"{K}tests: [{{name: x, given: {{}}}}]", ["4:9: tests[0] expects nothing (say labels, groups or holds)"]),
        (
            f"{K}tests: [{{name: x, given: {{tag: {{}}}}, groups: []}}]",
            ["4:27: tests[0].given has no field \"tag\" (did you mean 'tags'?)"],
        ),
        (
            f"{K}tests: [{{name: x, given: {{labels: {{z: v}}}}, groups: [g]}}]",
            [
                '4:39: tests[0].given.labels: no table is named "z" (known: k)',
                '4:52: tests[0].groups: nothing here is named "g"',
            ],
        ),
        (f"{K}tests: [{{name: x, labels: {{}}}}]", ["4:9: tests[0] has no given"]),
    ],
)
def test_every_error_names_its_place_and_a_way_out(body: str, expected: list[str]) -> None:
    assert problems(HEAD + body) == expected


@pytest.mark.parametrize("name", ["Platform", "-a", "a_b", "a.b"])
def test_the_name_must_fit_into_a_kubernetes_name(name: str) -> None:
    (told,) = problems(f"apiVersion: mapping.microseg.dev/v1\nname: {name}\nlabels: {{}}")
    assert told == f'2:7: name is "{name}"; it must be lower-case letters, digits and -'


def test_another_version_is_refused() -> None:
    (told,) = problems("apiVersion: mapping.microseg.dev/v2\nname: a\nlabels: {}")
    assert told == "1:13: apiVersion can not be \"mapping.microseg.dev/v2\" (did you mean 'mapping.microseg.dev/v1'?)"


def test_all_problems_are_told_at_once_in_the_order_of_the_text() -> None:
    told = problems("apiVersion: x\nname: X\nlabels:\n  a: {}\n  b: {default: no}\nzzz: 1\n")
    assert [line.split(":")[0] for line in told] == ["1", "2", "4", "5", "6"]


def test_a_document_of_nothing_but_problems_is_told_in_part() -> None:
    lines = "\n".join(f"  k{number}: {{default: no}}" for number in range(20))
    tests = "\n".join(f"  - {{name: no, given: {{}}, groups: [g{number}]}}" for number in range(100))
    assert len(problems(f"{HEAD}labels:\n{lines}\ntests:\n{tests}")) == limits.MAX_PROBLEMS


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "labels: {" + ", ".join(f"k{n}: {{default: d}}" for n in range(21)) + "}",
            "labels has 21 entries; at most 20",
        ),
        (
            table("{cases: [" + ", ".join(["{when: {os: [linux]}, value: v}"] * 201) + "]}"),
            "labels.k.cases has 201 entries; at most 200",
        ),
        (
            table("{fromTag: [t], oneOf: [" + ", ".join(f"v{n}" for n in range(2001)) + "]}"),
            "labels.k.oneOf has 2001 entries; at most 2000",
        ),
        (
            table("{fromTag: [t], values: {" + ", ".join(f"v{n}: x" for n in range(2001)) + "}}"),
            "labels.k.values has 2001 entries; at most 2000",
        ),
        (
            "labels: {}\ngroups: [" + ", ".join(f"{{name: g{n}, when: {{os: [linux]}}}}" for n in range(501)) + "]",
            "groups has 501 entries; at most 500",
        ),
        (f"{K}overrides: [" + ", ".join([OVERRIDE] * 501) + "]", "overrides has 501 entries; at most 500"),
        (
            f"{K}tests: [" + ", ".join(["{name: x, given: {}, groups: []}"] * 501) + "]",
            "tests has 501 entries; at most 500",
        ),
    ],
)
def test_counts_are_limited(body: str, told: str) -> None:
    (found,) = problems(HEAD + body)
    assert told in found


def test_a_place_that_is_not_in_the_document_is_that_of_its_nearest_parent() -> None:
    mapping = m.parse(HEAD + "labels:\n  k:\n    default: d\n", "t.yaml")
    assert mapping.place("labels", "k", "cases", 3) == m.Place(4, 3)
    assert mapping.place("labels", "k", "default") == m.Place(5, 14)
    assert mapping.place() == m.Place(1, 1)


def test_texts_with_blanks_blocks_and_other_scripts_are_welcome() -> None:
    text = HEAD + "owner: 環境 équipe\nlabels:\n  k:\n    fromTag: [t]\n    values:\n"
    text += "      'π: # x': >-\n        Größe\n        Zwei\n"
    mapping = m.parse("\ufeff" + text.replace("\n", "\r\n"), "t")
    assert mapping.owner == "環境 équipe"
    assert mapping.tables["k"].values == {"π: # x": "Größe Zwei"}


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    text = HEAD + K
    assert m.parse("\ufeff" + text.replace("\n", "\r\n"), "t").digest == m.parse(text, "t").digest


BASE = """\
apiVersion: mapping.microseg.dev/v1
name: t
labels:
  a: {fromTag: [x, y], values: {p: V, q: W}, oneOf: [V, W]}
  b: {cases: [{name: one, when: {os: [linux, windows]}, value: A}, {name: two, when: {name: [n]}, value: B}]}
groups:
  - {name: g, when: {tags: {x: [p], y: [q]}}}
  - {name: h, when: {labels: {a: [V]}}}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: t\n", 'name: "t"   # a comment\n\n'),
        ("values: {p: V, q: W}", "values: {q: W, p: V}"),
        ("oneOf: [V, W]", "oneOf: [W, V]"),
        ("[linux, windows]", "[windows, linux]"),
        ("tags: {x: [p], y: [q]}", "tags: {y: [q], x: [p]}"),
        ("{name: one, when: {os: [linux, windows]}, value: A}", "{value: A, when: {os: [linux, windows]}, name: one}"),
        ("oneOf: [V, W]}", "oneOf: [V, W], onMiss: hold}"),
        (
            "  - {name: g, when: {tags: {x: [p], y: [q]}}}\n  - {name: h, when: {labels: {a: [V]}}}\n",
            "  - {name: h, when: {labels: {a: [V]}}}\n  - {name: g, when: {tags: {x: [p], y: [q]}}}\n",
        ),
    ],
)
def test_what_means_the_same_has_the_same_digest(old: str, new: str) -> None:
    assert old in BASE
    assert m.parse(BASE.replace(old, new), "a").digest == m.parse(BASE, "b").digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: t\n", "name: u\n"),
        ("name: t\n", "name: t\nowner: o\n"),
        ("[x, y]", "[y, x]"),
        ("p: V", "p: W"),
        ("oneOf: [V, W]", "oneOf: [V, W, X]"),
        ("oneOf: [V, W]}", "oneOf: [V, W], onMiss: keep}"),
        ("oneOf: [V, W]}", "oneOf: [V, W], normalize: [trim]}"),
        (
            "{name: one, when: {os: [linux, windows]}, value: A}, {name: two, when: {name: [n]}, value: B}",
            "{name: two, when: {name: [n]}, value: B}, {name: one, when: {os: [linux, windows]}, value: A}",
        ),
        ("{name: g,", "{name: g, scope: {subscriptions: [s]},"),
        ("tags: {x: [p]", "notTags: {x: [p]"),
    ],
)
def test_what_means_something_else_has_another_digest(old: str, new: str) -> None:
    assert old in BASE
    first, second = m.parse(BASE, "t"), m.parse(BASE.replace(old, new, 1), "t")
    assert first.digest != second.digest
    assert first != second


def test_a_digest_is_a_whole_sha_256_and_never_changes_by_itself() -> None:
    assert m.parse(BASE, "t").digest == "ea1af6610326fae9adae57e641c2efa1e434e1556b72f8e8066b7c51dca4da2e"


def test_equal_documents_are_equal_mappings_wherever_they_came_from() -> None:
    one, other = m.parse(BASE, "a"), m.parse("# moved\n" + BASE, "b")
    assert one == other
    assert len({one, other}) == 1
