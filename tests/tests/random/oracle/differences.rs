//! What one kind of lens refuses and the other does not: as found, and as listed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crossfade_tests::oracle::Kind;
use rewrite_rules::Phase;

use super::bench::Refusal;

const LIST: &str = include_str!("../../../data/oracle/differences.toml");
const LIMITS: &str = include_str!("../../../../docs/limits.md");

/// SQLSTATE and words of a refusal, by kind and phase.
type BySide = BTreeMap<(Kind, Phase), (String, String)>;

/// What was refused, by block.
#[derive(Default)]
pub struct Refused(BTreeMap<&'static str, BySide>);

/// One line of the list, but for its reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Difference {
    block: String,
    kind: &'static str,
    phases: Vec<&'static str>,
    sqlstate: String,
    what: String,
}

/// An error that is told otherwise than PostgreSQL tells it, but for the reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Otherwise {
    block: String,
    statement: String,
    kind: &'static str,
    phases: Vec<&'static str>,
    straight: String,
    told: String,
}

/// Errors told otherwise: by block, statement, kind and both words the phases.
#[derive(Default)]
pub struct Told(BTreeMap<(&'static str, String, Kind, String, String), BTreeSet<Phase>>);

pub struct Listed {
    differences: Vec<Difference>,
    otherwise: Vec<Otherwise>,
}

impl Told {
    pub fn add(&mut self, block: &'static str, found: &super::bench::Otherwise) {
        let (kind, phase) = found.wrong.side;
        let (statement, straight) = (found.statement.clone(), found.straight.clone());
        let key = (block, statement, kind, straight, found.told.clone());
        self.0.entry(key).or_default().insert(phase);
    }

    fn all(&self) -> Vec<Otherwise> {
        let all = self.0.iter();
        all.map(
            |((block, statement, kind, straight, told), phases)| Otherwise {
                block: (*block).to_owned(),
                statement: statement.clone(),
                kind: kind.name(),
                phases: phases.iter().map(|phase| phase.name()).collect(),
                straight: straight.clone(),
                told: told.clone(),
            },
        )
        .collect()
    }
}

impl Refused {
    pub fn add(&mut self, block: &'static str, found: &Refusal) {
        let by = self.0.entry(block).or_default();
        by.entry((found.kind, found.phase))
            .or_insert_with(|| (found.sqlstate.clone(), found.what.clone()));
    }

    /// Where one kind refuses in a phase what the other does not.
    fn differences(&self) -> Vec<Difference> {
        let mut found: Vec<Difference> = Vec::new();
        for (block, by) in &self.0 {
            for ((kind, phase), (sqlstate, what)) in by {
                let others = Kind::ALL.into_iter().filter(|other| other != kind);
                if others
                    .into_iter()
                    .any(|other| by.contains_key(&(other, *phase)))
                {
                    continue;
                }
                let same = found.iter_mut().find(|known| {
                    known.block == *block && known.kind == kind.name() && known.what == *what
                });
                match same {
                    Some(known) => known.phases.push(phase.name()),
                    None => found.push(Difference {
                        block: (*block).to_owned(),
                        kind: kind.name(),
                        phases: vec![phase.name()],
                        sqlstate: sqlstate.clone(),
                        what: what.clone(),
                    }),
                }
            }
        }
        found
    }

    /// Refusals that docs/limits.md does not speak of.
    pub fn untold(&self) -> String {
        let all = self
            .0
            .iter()
            .flat_map(|(block, by)| by.iter().map(move |(at, (_, what))| (what, (block, at))));
        let mut untold = String::new();
        let mut seen = BTreeSet::new();
        for (what, (block, (kind, phase))) in all {
            if !LIMITS.contains(what.as_str()) && seen.insert(what) {
                let _ = writeln!(
                    untold,
                    "refused, and not told in docs/limits.md: {what} ({block}, by {kind} in {phase})"
                );
            }
        }
        untold
    }
}

impl Listed {
    /// # Panics
    ///
    /// If the list is not as it should be.
    pub fn read() -> Listed {
        let table: toml::Table = LIST.parse().unwrap();
        let list = |name: &str| {
            let list = table.get(name).and_then(toml::Value::as_array);
            list.into_iter().flatten().map(Entry).collect::<Vec<_>>()
        };
        let differences = list("difference").into_iter().map(|entry| Difference {
            block: entry.text("block"),
            kind: entry.kind(),
            phases: entry.phases(),
            sqlstate: entry.text("sqlstate"),
            what: entry.text("what"),
        });
        let otherwise = list("otherwise").into_iter().map(|entry| Otherwise {
            block: entry.text("block"),
            statement: entry.text("statement"),
            kind: entry.kind(),
            phases: entry.phases(),
            straight: entry.text("straight"),
            told: entry.text("told"),
        });
        Listed {
            differences: differences.collect(),
            otherwise: otherwise.collect(),
        }
    }

    /// Whether what one kind refuses in a phase is of a listed sort.
    pub fn knows(&self, found: &Refusal) -> bool {
        self.differences.iter().any(|listed| {
            listed.kind == found.kind.name()
                && listed.what == found.what
                && listed.phases.contains(&found.phase.name())
        })
    }

    /// What is listed and does not differ, and what differs and is not listed, of the blocks that ran.
    pub fn compare(&self, refused: &Refused, told: &Told, ran: &[&str]) -> String {
        let ran = |block: &String| ran.contains(&block.as_str());
        let differences = self.differences.iter().filter(|listed| ran(&listed.block));
        let otherwise = self.otherwise.iter().filter(|listed| ran(&listed.block));
        apart(differences, &refused.differences(), Difference::toml)
            + &apart(otherwise, &told.all(), Otherwise::toml)
    }
}

fn apart<'l, T: PartialEq + 'l>(
    listed: impl Iterator<Item = &'l T>,
    found: &[T],
    toml: impl Fn(&T) -> String,
) -> String {
    let listed: Vec<&T> = listed.collect();
    let mut apart = String::new();
    for gone in listed.iter().filter(|listed| !found.contains(listed)) {
        let _ = writeln!(apart, "listed, and no longer so:\n{}", toml(gone));
    }
    for new in found.iter().filter(|found| !listed.contains(found)) {
        let _ = writeln!(apart, "not listed:\n{}", toml(new));
    }
    apart
}

/// A line of the list.
struct Entry<'t>(&'t toml::Value);

impl Entry<'_> {
    fn text(&self, name: &str) -> String {
        let value = self.0.get(name).and_then(toml::Value::as_str);
        let value = value.unwrap_or_else(|| panic!("{name} in {}", self.0));
        value.to_owned()
    }

    fn kind(&self) -> &'static str {
        assert!(!self.text("why").is_empty(), "no reason in {}", self.0);
        let named = self.text("kind");
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == named);
        kind.unwrap_or_else(|| panic!("no kind: {named}")).name()
    }

    fn phases(&self) -> Vec<&'static str> {
        let names = self.0["phases"].as_array().unwrap().iter();
        let phase = |name: &toml::Value| {
            let all = Phase::ALL.into_iter();
            let found = all
                .map(Phase::name)
                .find(|phase| name.as_str() == Some(phase));
            found.unwrap_or_else(|| panic!("no phase: {name}"))
        };
        names.map(phase).collect()
    }
}

impl Otherwise {
    fn toml(&self) -> String {
        format!(
            "[[otherwise]]\nblock = {:?}\nstatement = {:?}\nkind = {:?}\nphases = {:?}\nstraight = {:?}\ntold = {:?}\nwhy = \"\"\n",
            self.block, self.statement, self.kind, self.phases, self.straight, self.told
        )
    }
}

impl Difference {
    fn toml(&self) -> String {
        format!(
            "[[difference]]\nblock = {:?}\nkind = {:?}\nphases = {:?}\nsqlstate = {:?}\nwhat = {:?}\nwhy = \"\"\n",
            self.block, self.kind, self.phases, self.sqlstate, self.what
        )
    }
}
