//! What a client says, round trip by round trip, in the messages that pgbench (libpq) would send:
//! Query; or Parse, Bind, Describe, Execute, Sync; or the same without Parse.

use std::sync::Arc;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Simple,
    /// The unnamed statement, parsed anew each time.
    Extended,
    /// A named statement, parsed once.
    Prepared,
}

impl Protocol {
    pub const ALL: [Protocol; 3] = [Protocol::Simple, Protocol::Extended, Protocol::Prepared];

    /// As pgbench's `-M` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Simple => "simple",
            Protocol::Extended => "extended",
            Protocol::Prepared => "prepared",
        }
    }
}

/// A parameter's value, drawn anew for each round trip.
#[derive(Clone, Debug)]
pub enum Draw {
    /// A whole number from 1 to here.
    UpTo(u64),
    /// One of these.
    OneOf(Arc<Vec<String>>),
    /// A text that no one has drawn before, with something behind it.
    Fresh(&'static str),
}

#[derive(Clone, Debug)]
pub struct Script {
    protocol: Protocol,
    /// With `$1` … for the parameters.
    sql: String,
    parameters: Vec<Draw>,
    copy_data: Arc<Vec<u8>>,
    /// Each text has a trace's id in a comment, as sqlcommenter writes it.
    traced: bool,
    state: u64,
    drawn: u64,
}

const STATEMENT: &str = "s1";

impl Script {
    pub fn new(protocol: Protocol, sql: impl Into<String>, parameters: Vec<Draw>) -> Script {
        Script {
            protocol,
            sql: sql.into(),
            parameters,
            copy_data: Arc::default(),
            traced: false,
            state: 1,
            drawn: 0,
        }
    }

    /// The answer to the server's demand for COPY data: whole rows, to be sent as CopyData.
    pub fn with_copy_data(mut self, rows: &[u8]) -> Script {
        self.copy_data = Arc::new(copy_data(rows));
        self
    }

    /// The same with another trace's id in each text.
    pub fn traced(self) -> Script {
        Script {
            traced: true,
            ..self
        }
    }

    pub fn with_seed(&self, seed: u64) -> Script {
        Script {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            ..self.clone()
        }
    }

    pub fn copy_data(&self) -> &[u8] {
        &self.copy_data
    }

    /// What to send once, before the first round trip.
    pub fn preparation(&self) -> Option<Vec<u8>> {
        (self.protocol == Protocol::Prepared).then(|| Script::prepare_as(STATEMENT, &self.sql))
    }

    /// Parse and Sync.
    pub fn prepare_as(name: &str, sql: &str) -> Vec<u8> {
        let mut request = Vec::new();
        parse(&mut request, name, sql);
        message(&mut request, b'S', |_| {});
        request
    }

    /// Appends the next request.
    pub fn write_next(&mut self, out: &mut Vec<u8>) {
        let values: Vec<String> = (0..self.parameters.len()).map(|i| self.draw(i)).collect();
        let trace = if self.traced {
            self.drawn += 1;
            let (trace, span) = (self.state, self.drawn);
            format!(" /*traceparent='00-{trace:032x}-{span:016x}-01'*/")
        } else {
            String::new()
        };
        let statement = match self.protocol {
            Protocol::Simple => {
                out.extend(query(&(self.inlined(&values) + &trace)));
                return;
            }
            Protocol::Extended => {
                parse(out, "", &format!("{}{trace}", self.sql));
                ""
            }
            Protocol::Prepared => STATEMENT,
        };
        bind(out, statement, &values);
        message(out, b'D', |body| body.extend_from_slice(b"P\0"));
        message(out, b'E', |body| body.extend_from_slice(&[0, 0, 0, 0, 0]));
        message(out, b'S', |_| {});
    }

    fn draw(&mut self, index: usize) -> String {
        // xorshift: fast, and the same sequence in every run.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.drawn += 1;
        match &self.parameters[index] {
            Draw::UpTo(limit) => (self.state % limit + 1).to_string(),
            Draw::OneOf(values) => values[self.state as usize % values.len()].clone(),
            Draw::Fresh(behind) => format!("n{:x}.{:x}{behind}", self.state, self.drawn),
        }
    }

    fn inlined(&self, values: &[String]) -> String {
        let mut sql = self.sql.clone();
        for (index, value) in values.iter().enumerate().rev() {
            let literal = match &self.parameters[index] {
                Draw::UpTo(_) => value.clone(),
                Draw::OneOf(_) | Draw::Fresh(_) => format!("'{value}'"),
            };
            sql = sql.replace(&format!("${}", index + 1), &literal);
        }
        sql
    }
}

/// Whole rows as CopyData, and CopyDone.
pub fn copy_data(rows: &[u8]) -> Vec<u8> {
    let mut messages = Vec::with_capacity(rows.len() + rows.len() / 1000 + 64);
    // As large as psql's: a line each would measure the client.
    for piece in rows.chunks(8 * 1024) {
        message(&mut messages, b'd', |body| body.extend_from_slice(piece));
    }
    message(&mut messages, b'c', |_| {});
    messages
}

/// Parse, Bind and Execute of each text, and one Sync.
pub fn pipelined(texts: &[String]) -> Vec<u8> {
    let mut request = Vec::new();
    for sql in texts {
        parse(&mut request, "", sql);
        bind(&mut request, "", &[]);
        message(&mut request, b'E', |body| {
            body.extend_from_slice(&[0, 0, 0, 0, 0])
        });
    }
    message(&mut request, b'S', |_| {});
    request
}

pub fn query(sql: &str) -> Vec<u8> {
    let mut request = Vec::new();
    message(&mut request, b'Q', |body| c_string(body, sql));
    request
}

fn parse(out: &mut Vec<u8>, name: &str, sql: &str) {
    message(out, b'P', |body| {
        c_string(body, name);
        c_string(body, sql);
        body.extend_from_slice(&[0, 0]);
    });
}

/// All parameters as text, all results as text.
fn bind(out: &mut Vec<u8>, statement: &str, values: &[String]) {
    message(out, b'B', |body| {
        body.push(0);
        c_string(body, statement);
        body.extend_from_slice(&[0, 0]);
        body.extend_from_slice(&(values.len() as u16).to_be_bytes());
        for value in values {
            body.extend_from_slice(&(value.len() as u32).to_be_bytes());
            body.extend_from_slice(value.as_bytes());
        }
        body.extend_from_slice(&[0, 0]);
    });
}

fn c_string(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(text.as_bytes());
    body.push(0);
}

/// Appends a message whose length is filled in once its body is there.
pub fn message(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simple_query_holds_its_values_as_literals() {
        let ids = Arc::new(vec!["x".to_owned()]);
        let sql = "UPDATE t SET a = $1 WHERE b = $2";
        let parameters = vec![Draw::UpTo(1), Draw::OneOf(ids)];
        let mut script = Script::new(Protocol::Simple, sql, parameters);
        let mut request = Vec::new();
        script.write_next(&mut request);
        assert_eq!(request, query("UPDATE t SET a = 1 WHERE b = 'x'"));
    }

    #[test]
    fn a_prepared_script_parses_once() {
        let script = Script::new(Protocol::Prepared, "SELECT 1", Vec::new());
        let tags = |bytes: &[u8]| {
            let mut walk = crate::relay::Walk::default();
            walk.over(bytes);
            (bytes[0], walk.messages)
        };
        assert_eq!(tags(&script.preparation().expect("a Parse")), (b'P', 2));
        let mut request = Vec::new();
        script.with_seed(7).write_next(&mut request);
        assert_eq!(tags(&request), (b'B', 4));
    }
}
