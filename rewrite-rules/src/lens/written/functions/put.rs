//! Legacy images into unified, and out of it: while legacy leads, and one by one also where it does not.

use askama::Template;

use super::run::Stepped;
use super::{Call, Functions, templates, written};
use crate::lens::{Function, Work};

#[derive(Template)]
#[template(path = "steps/put_one.sql", escape = "none")]
struct PutOne<'a> {
    name: &'a str,
    f: &'a Functions<'a>,
    steps: Vec<Stepped<'a>>,
}

#[derive(Template)]
#[template(path = "steps/remove_one.sql", escape = "none")]
struct RemoveOne<'a> {
    name: &'a str,
    f: &'a Functions<'a>,
    steps: Vec<Stepped<'a>>,
}

templates! {
    Put "steps/put.sql"
    Remove "steps/remove.sql"
}

impl Functions<'_> {
    pub(super) fn put_one(&self) -> Function {
        let name = self.lens.call_name(Call::PutOne);
        let template = PutOne {
            name: &name,
            f: self,
            steps: self.steps(&self.written.put, &[("row_image", "cf_image")]),
        };
        let ddl = template.to_string();
        written(name, ddl)
    }

    pub(super) fn remove_one(&self) -> Function {
        let name = self.lens.call_name(Call::RemoveOne);
        let template = RemoveOne {
            name: &name,
            f: self,
            steps: self.steps(&self.written.remove, &[("row_image", "cf_image")]),
        };
        let ddl = template.to_string();
        written(name, ddl)
    }

    pub(super) fn put(&self) -> Function {
        Put::function(self, self.lens.function_name(Work::Put))
    }

    pub(super) fn remove(&self) -> Function {
        Remove::function(self, self.lens.function_name(Work::Remove))
    }
}
