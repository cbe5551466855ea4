//! The words in braces of an errand's texts, and what stands for them this time. Knows nothing of
//! statements.

use std::collections::BTreeMap;

use crate::dice::Dice;

/// Enough to get in each other's way, few enough to leave a small machine time for the proxy.
pub const CLIENTS: u32 = 4;

/// What one client's next errand is filled in with.
#[derive(Clone, Debug)]
pub struct Words(BTreeMap<String, String>);

impl Words {
    /// `client` counts from 1, as does `run`, the number of this errand among all of the client's.
    ///
    /// | word | what |
    /// |---|---|
    /// | `{c}` | the client |
    /// | `{n}`, `{m}` | this errand; an earlier one, or this one if it is the first |
    /// | `{own}` | one of the rows that were there, of which no other client has it |
    /// | `{u}`, `{um}`, `{uown}` | uuids of these |
    #[must_use]
    pub fn draw(
        client: u32,
        run: u64,
        rows: u32,
        pick: &BTreeMap<String, Vec<String>>,
        dice: &mut Dice,
    ) -> Self {
        let clients = u64::from(CLIENTS);
        let earlier = 1 + dice.below((run - 1).max(1));
        let own = dice.below(u64::from(rows) / clients) * clients + u64::from(client);
        let mut words = BTreeMap::from([
            ("c".to_owned(), client.to_string()),
            ("n".to_owned(), run.to_string()),
            ("m".to_owned(), earlier.to_string()),
            ("own".to_owned(), own.to_string()),
            ("u".to_owned(), uuid(client, run)),
            ("um".to_owned(), uuid(client, earlier)),
            ("uown".to_owned(), uuid(0, own)),
        ]);
        for (word, texts) in pick {
            let drawn = dice.below(texts.len() as u64);
            let text = usize::try_from(drawn).ok().and_then(|at| texts.get(at));
            words.insert(word.clone(), text.cloned().unwrap_or_default());
        }
        Words(words)
    }

    /// What a statement answered, under a name for those that follow.
    pub fn keep(&mut self, word: &str, value: String) {
        self.0.insert(word.to_owned(), value);
    }

    #[must_use]
    pub fn find(&self, word: &str) -> Option<&String> {
        self.0.get(word)
    }

    /// The text with all words filled in. A word that nothing stands for is NULL: what it was to
    /// keep did not come.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            match after.split_once('}') {
                Some((word, behind)) if is_word(word) => {
                    filled.push_str(self.0.get(word).map_or("NULL", String::as_str));
                    rest = behind;
                }
                // A brace of JSON's.
                Some(_) | None => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        filled
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

fn uuid(client: u32, number: u64) -> String {
    format!("{client:08x}-0000-4000-8000-{number:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn() -> Words {
        let pick = BTreeMap::from([("tenant".to_owned(), vec!["acme".to_owned()])]);
        Words::draw(2, 7, 40, &pick, &mut Dice::new(1))
    }

    #[test]
    fn words_are_filled_in_and_braces_of_json_stay() {
        let mut words = drawn();
        words.keep("id", "5".to_owned());
        let filled = words.fill("{tenant} {c} {n} '{\"a\": {\"b\": {id}}}' {} {nothing}");
        assert_eq!(filled, "acme 2 7 '{\"a\": {\"b\": 5}}' {} NULL");
    }

    #[test]
    fn a_clients_rows_are_its_own() {
        for run in 1..50 {
            let words = Words::draw(3, run, 40, &BTreeMap::new(), &mut Dice::new(run));
            let own: u32 = words.fill("{own}").parse().unwrap();
            assert!((1..=40).contains(&own) && own % 4 == 3, "{own}");
            let earlier: u64 = words.fill("{m}").parse().unwrap();
            assert!((1..=run).contains(&earlier));
        }
        assert_eq!(drawn().fill("{u}"), "00000002-0000-4000-8000-000000000007");
    }
}
