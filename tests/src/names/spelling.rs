//! The ways to write an identifier or a string, all of which PostgreSQL reads as the same one.

use crate::generate::Choices;

/// Between the parts of a name, and around them.
const GAPS: &[&str] = &[
    "",
    " ",
    "\n",
    "\t",
    "/**/",
    " /* other. */ ",
    "/* a /* ' */ \" */",
    " -- \"other\".\n",
    "\r\n",
];

/// What may stand for the backslash.
const ESCAPES: &[char] = &['!', '@', '~', '^', '?', '=', '|', ':'];

/// A name of one part.
pub fn name(choices: &mut Choices, name: &str) -> String {
    let folds = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let first = if name.chars().all(folds) { 0 } else { 2 };
    match first + choices.below(7 - first) {
        0 => name.to_owned(),
        1 => cased(choices, name),
        2 | 3 => format!("\"{}\"", name.replace('"', "\"\"")),
        4 | 5 => format!(
            "{}&\"{}\"",
            unicode_mark(choices),
            unicode(choices, name, '\\', '"')
        ),
        _ => {
            let escape = choices.pick(ESCAPES);
            let spelled = unicode(choices, name, escape, '"');
            let mark = unicode_mark(choices);
            format!("{mark}&\"{spelled}\"{}", uescape(choices, escape))
        }
    }
}

/// A name of one or two parts.
pub fn dotted(choices: &mut Choices, schema: Option<&str>, table: &str) -> String {
    let Some(schema) = schema else {
        return name(choices, table);
    };
    let schema = name(choices, schema);
    let table = name(choices, table);
    format!("{schema}{}.{}{table}", gap(choices), gap(choices))
}

pub fn gap(choices: &mut Choices) -> &'static str {
    if choices.chance(40) {
        choices.pick(GAPS)
    } else {
        ""
    }
}

/// A string constant.
pub fn literal(choices: &mut Choices, content: &str) -> String {
    match choices.below(9) {
        0 => plain(content),
        1 | 2 => format!(
            "{}'{}'",
            choices.pick(&["E", "e"]),
            escaped(choices, content)
        ),
        3 => format!(
            "{}&'{}'",
            unicode_mark(choices),
            unicode(choices, content, '\\', '\'')
        ),
        4 => {
            let escape = choices.pick(ESCAPES);
            let spelled = unicode(choices, content, escape, '\'');
            let mark = unicode_mark(choices);
            format!("{mark}&'{spelled}'{}", uescape(choices, escape))
        }
        5 => dollar_quoted(choices, content),
        6 => continued(choices, "", content, |_, part| plain(part)),
        7 => continued(choices, "E", content, |choices, part| {
            format!("'{}'", escaped(choices, part))
        }),
        _ => {
            let spelled = |choices: &mut Choices, part: &str| {
                format!("'{}'", unicode(choices, part, '\\', '\''))
            };
            continued(choices, "U&", content, spelled)
        }
    }
}

fn plain(content: &str) -> String {
    // Under the setting that a session begins with a backslash is a character like any other.
    format!("'{}'", content.replace('\'', "''"))
}

pub fn dollar_quoted(choices: &mut Choices, content: &str) -> String {
    let tags = ["$$", "$body$", "$iso_agents$", "$_1$", "$é$"];
    let from = choices.below(tags.len());
    let tag = (0..tags.len()).map(|at| tags[(from + at) % tags.len()]);
    let mut tag = tag.filter(|tag| !content.contains(tag) && !content.ends_with('$'));
    tag.next()
        .map_or_else(|| plain(content), |tag| format!("{tag}{content}{tag}"))
}

/// A string that goes on behind the end of a line.
fn continued(
    choices: &mut Choices,
    mark: &str,
    content: &str,
    spelled: impl Fn(&mut Choices, &str) -> String,
) -> String {
    let letters = content.chars().count().max(1);
    let cut = content.char_indices().nth(choices.below(letters));
    let (before, behind) = content.split_at(cut.map_or(0, |(at, _)| at));
    let between = choices.pick(&["\n", " \n ", "\r\n\t", " -- it goes on '\n", "\n-- '\n  "]);
    let before = spelled(choices, before);
    let behind = spelled(choices, behind);
    format!("{mark}{before}{between}{behind}")
}

fn unicode_mark(choices: &mut Choices) -> &'static str {
    choices.pick(&["U", "u"])
}

fn uescape(choices: &mut Choices, escape: char) -> String {
    let before = choices.pick(&[" ", "\n", "/* */ ", ""]);
    let between = choices.pick(&[" ", "", "\n"]);
    let word = cased(choices, "uescape");
    format!("{before}{word}{between}'{escape}'")
}

/// Letters as `\0069` and `\+000069`, some or one of them.
fn unicode(choices: &mut Choices, content: &str, escape: char, quote: char) -> String {
    let one = choices.below(content.chars().count().max(1));
    let mut out = String::new();
    for (at, c) in content.chars().enumerate() {
        let code = u32::from(c);
        if at == one || choices.chance(15) {
            if choices.chance(30) || code > 0xFFFF {
                out.push_str(&format!("{escape}+{code:06x}"));
            } else {
                out.push_str(&format!("{escape}{code:04X}"));
            }
        } else if c == escape || c == quote {
            out.extend([c, c]);
        } else {
            out.push(c);
        }
    }
    out
}

/// The escapes of `E'…'`, for some letters or one.
fn escaped(choices: &mut Choices, content: &str) -> String {
    let one = choices.below(content.chars().count().max(1));
    let mut out = String::new();
    for (at, c) in content.chars().enumerate() {
        let code = u32::from(c);
        if (at == one || choices.chance(15)) && c.is_ascii() {
            out.push_str(&match choices.below(4) {
                0 => format!("\\x{code:02x}"),
                1 => format!("\\{code:03o}"),
                2 => format!("\\u{code:04x}"),
                _ => format!("\\U{code:08X}"),
            });
        } else {
            match c {
                '\'' => out.push_str(choices.pick(&["''", "\\'"])),
                '\\' => out.push_str("\\\\"),
                c => out.push(c),
            }
        }
    }
    out
}

/// The same letters, some of them capital.
pub fn cased(choices: &mut Choices, word: &str) -> String {
    let mut letter = |c: char| match choices.below(2) {
        0 => c,
        _ => c.to_ascii_uppercase(),
    };
    word.chars().map(&mut letter).collect()
}
