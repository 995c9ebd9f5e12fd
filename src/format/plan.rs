//! How a record's fields are laid out in the cells of a row.

use crate::record::{Column, Record, Type};

use super::json::bare;

/// A type as a tree, flattened in pre-order, so that a walk over it is a walk over a slice.
#[derive(Debug)]
pub(super) struct Plan {
    pub nodes: Vec<Node>,
    /// How many cells there are.
    pub cells: usize,
}

/// A field, or a struct in a field.
#[derive(Debug)]
pub(super) struct Node {
    pub kind: Kind,
    /// The field's own name.
    pub name: &'static str,
    /// With the names of what it is in: the name of its column.
    pub path: String,
    /// The first of its cells.
    pub cell: usize,
    /// How many cells it has.
    pub cells: usize,
    /// How many nodes are right below it.
    pub fields: usize,
    /// The node after its last descendant.
    pub next: usize,
    /// What its cell may hold; nothing if it is, or is in, an `Option`.
    pub sample: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No cell: `()`.
    Nothing,
    /// One cell of plain text.
    Value,
    /// One cell that holds a time.
    Time,
    /// One cell of JSON: a list, bytes or a variant.
    Nested,
    /// The cells of its fields.
    Group,
}

impl Plan {
    pub fn of<R: Record>() -> Plan {
        Plan::of_type(&R::data_type())
    }

    pub fn of_type(data_type: &Type) -> Plan {
        let (nodes, cells) = (Vec::new(), 0);
        let mut plan = Plan { nodes, cells };
        plan.add("", "", data_type, false);
        plan
    }

    /// The columns' names.
    pub fn header(&self) -> impl Iterator<Item = &str> {
        self.columns().map(|node| match &*node.path {
            "" => "value",
            path => path,
        })
    }

    /// The nodes that have a cell, in the cells' order.
    pub fn columns(&self) -> impl Iterator<Item = &Node> {
        let one = |node: &&Node| !matches!(node.kind, Kind::Group | Kind::Nothing);
        self.nodes.iter().filter(one)
    }

    fn add(&mut self, name: &'static str, path: &str, data_type: &Type, optional: bool) {
        let kind = match data_type {
            Type::Option(inner) => return self.add(name, path, inner, true),
            Type::Unit => Kind::Nothing,
            Type::Struct(_) => Kind::Group,
            Type::List(_) | Type::Enum(_) | Type::Bytes => Kind::Nested,
            Type::Time => Kind::Time,
            Type::Bool | Type::Int(_) | Type::Uint(_) | Type::Float(_) | Type::Text => Kind::Value,
        };
        let (at, cell) = (self.nodes.len(), self.cells);
        self.cells += usize::from(!matches!(kind, Kind::Nothing | Kind::Group));
        let sample = if optional { String::new() } else { sample(data_type) };
        let own = path.to_owned();
        let node = Node { kind, name, path: own, cell, cells: 0, fields: 0, next: 0, sample };
        self.nodes.push(node);
        if let Type::Struct(schema) = data_type {
            self.nodes[at].fields = schema.columns.len();
            for column in &schema.columns {
                let name = bare(column.name);
                let joint = if path.is_empty() { "" } else { "_" };
                self.add(name, &format!("{path}{joint}{name}"), &column.data_type, optional);
            }
        }
        let (next, cells) = (self.nodes.len(), self.cells);
        let node = &mut self.nodes[at];
        (node.next, node.cells) = (next, cells - node.cell);
    }
}

/// Text that a cell of this type may hold, as far as that is known.
fn sample(data_type: &Type) -> String {
    let text = match data_type {
        Type::Bool => "true",
        Type::Int(_) | Type::Uint(_) | Type::Float(_) | Type::Time => "0",
        Type::Text => "x",
        Type::List(_) | Type::Bytes => "[]",
        Type::Enum(schema) => {
            let plain = |column: &&Column| matches!(column.data_type, Type::Unit);
            schema.columns.iter().find(plain).map_or("", |column| bare(column.name))
        }
        Type::Unit | Type::Struct(_) | Type::Option(_) => "",
    };
    text.to_owned()
}
