//! PostgreSQL's parse tree as one small, uniform type.
//!
//! pg_query's tree has hundreds of Rust types. A walker written against them can forget one, and
//! a table hidden there would pass unseen. Here the whole tree is taken through its `Serialize`
//! implementation, so nothing in it can be missed, known or not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::ser::{self, Serialize};

/// A node of the parse tree. Fields with empty values are left out; asking for them gives the
/// empty value back.
///
/// Trees are not compared: two constants of one value are no reason to treat anything alike, and a
/// comparison could look past a watch.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Nothing,
    Flag(bool),
    Int(i64),
    Text(String),
    List(Vec<Tree>),
    /// The type's name as pg_query spells it (`SelectStmt`, `RangeVar`, `AConst`) and its fields.
    Node(&'static str, Vec<(&'static str, Tree)>),
    /// A constant's value that tells whether somebody asked for it.
    Watched(Arc<Watched>),
}

/// A value, and whether anything depends on it.
#[derive(Debug)]
pub(crate) struct Watched {
    value: Tree,
    seen: AtomicBool,
}

impl Watched {
    fn value(&self) -> &Tree {
        self.seen.store(true, Ordering::Relaxed);
        &self.value
    }

    pub fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}

static NOTHING: Tree = Tree::Nothing;

impl Tree {
    pub fn of<T: Serialize>(value: &T) -> Result<Tree, Unsupported> {
        value.serialize(Builder)
    }

    /// The node's type; empty for anything that is not a node.
    pub fn kind(&self) -> &'static str {
        match self {
            Tree::Node(kind, _) => kind,
            Tree::Nothing
            | Tree::Flag(_)
            | Tree::Int(_)
            | Tree::Text(_)
            | Tree::List(_)
            | Tree::Watched(_) => "",
        }
    }

    pub fn is(&self, kind: &str) -> bool {
        self.kind() == kind
    }

    pub fn get(&self, field: &str) -> &Tree {
        match self {
            Tree::Node(_, fields) => fields
                .iter()
                .find(|(name, _)| *name == field)
                .map_or(&NOTHING, |(_, value)| value),
            Tree::Nothing
            | Tree::Flag(_)
            | Tree::Int(_)
            | Tree::Text(_)
            | Tree::List(_)
            | Tree::Watched(_) => &NOTHING,
        }
    }

    pub fn text(&self, field: &str) -> &str {
        self.get(field).as_text().unwrap_or_default()
    }

    /// What a leaf of the tree says: a name, an option's or a string constant's value.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Tree::Text(text) => Some(text),
            Tree::Watched(watched) => watched.value().as_text(),
            Tree::Nothing | Tree::Flag(_) | Tree::Int(_) | Tree::List(_) | Tree::Node(..) => None,
        }
    }

    /// `None` for an absent or empty text: PostgreSQL writes a missing name as an empty one.
    pub fn name(&self, field: &str) -> Option<&str> {
        Some(self.text(field)).filter(|text| !text.is_empty())
    }

    pub fn int(&self, field: &str) -> i64 {
        self.get(field).as_int().unwrap_or_default()
    }

    fn as_int(&self) -> Option<i64> {
        match self {
            Tree::Int(value) => Some(*value),
            Tree::Watched(watched) => watched.value().as_int(),
            Tree::Nothing | Tree::Flag(_) | Tree::Text(_) | Tree::List(_) | Tree::Node(..) => None,
        }
    }

    pub fn flag(&self, field: &str) -> bool {
        matches!(self.get(field), Tree::Flag(true))
    }

    pub fn list(&self, field: &str) -> &[Tree] {
        self.get(field).items()
    }

    /// The items of a list that is a node of its own, as those of VALUES are.
    pub fn in_list(&self) -> &[Tree] {
        if self.is("List") {
            self.list("items")
        } else {
            self.items()
        }
    }

    pub fn items(&self) -> &[Tree] {
        match self {
            Tree::List(items) => items,
            Tree::Nothing
            | Tree::Flag(_)
            | Tree::Int(_)
            | Tree::Text(_)
            | Tree::Node(..)
            | Tree::Watched(_) => &[],
        }
    }

    pub fn exists(&self) -> bool {
        !matches!(self, Tree::Nothing)
    }

    /// The byte offset where the node's text begins, if the parser knew it.
    pub fn location(&self) -> Option<usize> {
        usize::try_from(self.int("location")).ok()
    }

    /// What is right below it, with the fields' names; a list's items have none.
    pub fn children(&self) -> impl Iterator<Item = (&'static str, &Tree)> {
        let fields = match self {
            Tree::Node(_, fields) => fields.as_slice(),
            Tree::Nothing
            | Tree::Flag(_)
            | Tree::Int(_)
            | Tree::Text(_)
            | Tree::List(_)
            | Tree::Watched(_) => &[],
        };
        let fields = fields.iter().map(|(name, value)| (*name, value));
        fields.chain(self.items().iter().map(|item| ("", item)))
    }

    /// Puts the values of constants under watch. `is_watched` is asked with the places of their texts;
    /// of a negative number, that of the sign. Gives each with what `is_watched` said.
    pub fn watch<K>(
        &mut self,
        is_watched: &dyn Fn(usize) -> Option<K>,
        watched: &mut Vec<(K, Arc<Watched>)>,
    ) {
        if let Some(at) = self.location().filter(|_| self.is("AConst"))
            && let Some(key) = is_watched(at)
            && let Some(value) = self.constant_value()
        {
            let under_watch = Arc::new(Watched {
                value: std::mem::replace(value, Tree::Nothing),
                seen: AtomicBool::new(false),
            });
            *value = Tree::Watched(Arc::clone(&under_watch));
            watched.push((key, under_watch));
            return;
        }
        match self {
            Tree::Node(_, fields) => fields
                .iter_mut()
                .for_each(|(_, child)| child.watch(is_watched, watched)),
            Tree::List(items) => items
                .iter_mut()
                .for_each(|item| item.watch(is_watched, watched)),
            Tree::Nothing | Tree::Flag(_) | Tree::Int(_) | Tree::Text(_) | Tree::Watched(_) => {}
        }
    }

    /// The value of a number's or a string's constant.
    fn constant_value(&mut self) -> Option<&mut Tree> {
        let Tree::Node(_, fields) = self else {
            return None;
        };
        let (_, value) = fields.iter_mut().find(|(name, _)| *name == "val")?;
        let Tree::Node(kind, fields) = value else {
            return None;
        };
        let (name, empty) = match *kind {
            "Integer" => ("ival", Tree::Int(0)),
            "Float" => ("fval", Tree::Text(String::new())),
            "String" => ("sval", Tree::Text(String::new())),
            _ => return None,
        };
        // Zero and the empty string were left out.
        if fields.is_empty() {
            fields.push((name, empty));
        }
        fields.last_mut().map(|(_, value)| value)
    }

    /// Calls `visit` for this node and all below it.
    pub fn each<'t>(&'t self, visit: &mut dyn FnMut(&'t Tree)) {
        visit(self);
        for (_, child) in self.children() {
            child.each(visit);
        }
    }

    /// The first node of a kind, in the order of the tree.
    pub fn find(&self, kind: &str) -> Option<&Tree> {
        let mut found = None;
        self.each(&mut |node| {
            if found.is_none() && node.is(kind) {
                found = Some(node);
            }
        });
        found
    }

    /// The parts of a `ColumnRef`: names, and `*` for a star.
    pub fn column_parts(&self) -> Vec<&str> {
        self.list("fields")
            .iter()
            .map(|field| {
                if field.is("AStar") {
                    "*"
                } else {
                    field.text("sval")
                }
            })
            .collect()
    }

    fn is_empty(&self) -> bool {
        match self {
            Tree::Nothing | Tree::Flag(false) | Tree::Int(0) => true,
            Tree::Text(text) => text.is_empty(),
            Tree::List(items) => items.is_empty(),
            Tree::Flag(true) | Tree::Int(_) | Tree::Node(..) | Tree::Watched(_) => false,
        }
    }
}

/// The parse tree held something that no parse tree of this pg_query holds.
#[derive(Debug)]
pub(crate) struct Unsupported(String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsupported {}

impl ser::Error for Unsupported {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Unsupported(message.to_string())
    }
}

struct Builder;

struct ListBuilder(Vec<Tree>);

struct NodeBuilder(&'static str, Vec<(&'static str, Tree)>);

fn unsupported<T>(what: &str) -> Result<T, Unsupported> {
    Err(Unsupported(format!("a {what} in the parse tree")))
}

impl ser::Serializer for Builder {
    type Ok = Tree;
    type Error = Unsupported;
    type SerializeSeq = ListBuilder;
    type SerializeTuple = ser::Impossible<Tree, Unsupported>;
    type SerializeTupleStruct = ser::Impossible<Tree, Unsupported>;
    type SerializeTupleVariant = ser::Impossible<Tree, Unsupported>;
    type SerializeMap = ser::Impossible<Tree, Unsupported>;
    type SerializeStruct = NodeBuilder;
    type SerializeStructVariant = ser::Impossible<Tree, Unsupported>;

    fn serialize_bool(self, value: bool) -> Result<Tree, Unsupported> {
        Ok(Tree::Flag(value))
    }
    fn serialize_i8(self, value: i8) -> Result<Tree, Unsupported> {
        Ok(Tree::Int(value.into()))
    }
    fn serialize_i16(self, value: i16) -> Result<Tree, Unsupported> {
        Ok(Tree::Int(value.into()))
    }
    fn serialize_i32(self, value: i32) -> Result<Tree, Unsupported> {
        Ok(Tree::Int(value.into()))
    }
    fn serialize_i64(self, value: i64) -> Result<Tree, Unsupported> {
        Ok(Tree::Int(value))
    }
    fn serialize_u8(self, value: u8) -> Result<Tree, Unsupported> {
        Ok(Tree::Int(value.into()))
    }
    fn serialize_u16(self, value: u16) -> Result<Tree, Unsupported> {
        Ok(Tree::Int(value.into()))
    }
    fn serialize_u32(self, value: u32) -> Result<Tree, Unsupported> {
        Ok(Tree::Int(value.into()))
    }
    fn serialize_u64(self, value: u64) -> Result<Tree, Unsupported> {
        // Bit sets such as query ids; no name, no location.
        Ok(Tree::Int(value.cast_signed()))
    }
    fn serialize_f32(self, _: f32) -> Result<Tree, Unsupported> {
        Ok(Tree::Nothing)
    }
    fn serialize_f64(self, _: f64) -> Result<Tree, Unsupported> {
        // Planner costs: never set by the parser.
        Ok(Tree::Nothing)
    }
    fn serialize_char(self, value: char) -> Result<Tree, Unsupported> {
        Ok(Tree::Text(value.to_string()))
    }
    fn serialize_str(self, value: &str) -> Result<Tree, Unsupported> {
        Ok(Tree::Text(value.to_owned()))
    }
    fn serialize_bytes(self, _: &[u8]) -> Result<Tree, Unsupported> {
        unsupported("byte string")
    }
    fn serialize_none(self) -> Result<Tree, Unsupported> {
        Ok(Tree::Nothing)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Tree, Unsupported> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Tree, Unsupported> {
        Ok(Tree::Nothing)
    }
    fn serialize_unit_struct(self, name: &'static str) -> Result<Tree, Unsupported> {
        Ok(Tree::Node(name, Vec::new()))
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Tree, Unsupported> {
        Ok(Tree::Node(variant, Vec::new()))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Tree, Unsupported> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<Tree, Unsupported> {
        value.serialize(self)
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<ListBuilder, Unsupported> {
        Ok(ListBuilder(Vec::with_capacity(len.unwrap_or(0))))
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unsupported> {
        unsupported("tuple")
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Unsupported> {
        unsupported("tuple")
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unsupported> {
        unsupported("tuple")
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unsupported> {
        unsupported("map")
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<NodeBuilder, Unsupported> {
        Ok(NodeBuilder(name, Vec::new()))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unsupported> {
        unsupported("struct variant")
    }
}

impl ser::SerializeSeq for ListBuilder {
    type Ok = Tree;
    type Error = Unsupported;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unsupported> {
        self.0.push(value.serialize(Builder)?);
        Ok(())
    }

    fn end(self) -> Result<Tree, Unsupported> {
        Ok(Tree::List(self.0))
    }
}

impl ser::SerializeStruct for NodeBuilder {
    type Ok = Tree;
    type Error = Unsupported;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unsupported> {
        let value = value.serialize(Builder)?;
        if !value.is_empty() {
            self.1.push((name, value));
        }
        Ok(())
    }

    fn end(mut self) -> Result<Tree, Unsupported> {
        // `Node { node: … }` is only protobuf's envelope around the real node.
        if self.0 == "Node" {
            return Ok(self.1.pop().map_or(Tree::Nothing, |(_, inner)| inner));
        }
        Ok(Tree::Node(self.0, self.1))
    }
}
