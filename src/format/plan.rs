//! How a record's fields are laid out in the cells of a row.

use crate::record::{Record, Type};

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
        let (nodes, cells) = (Vec::new(), 0);
        let mut plan = Plan { nodes, cells };
        plan.add("", "", &R::data_type());
        plan
    }

    /// The columns' names.
    pub fn header(&self) -> impl Iterator<Item = &str> {
        let one = |node: &&Node| !matches!(node.kind, Kind::Group | Kind::Nothing);
        self.nodes.iter().filter(one).map(|node| match &*node.path {
            "" => "value",
            path => path,
        })
    }

    fn add(&mut self, name: &'static str, path: &str, data_type: &Type) {
        let kind = match data_type {
            Type::Option(inner) => return self.add(name, path, inner),
            Type::Unit => Kind::Nothing,
            Type::Struct(_) => Kind::Group,
            Type::List(_) | Type::Enum(_) | Type::Bytes => Kind::Nested,
            Type::Time => Kind::Time,
            Type::Bool | Type::Int(_) | Type::Uint(_) | Type::Float(_) | Type::Text => Kind::Value,
        };
        let (at, cell) = (self.nodes.len(), self.cells);
        self.cells += usize::from(!matches!(kind, Kind::Nothing | Kind::Group));
        self.nodes.push(Node { kind, name, path: path.into(), cell, cells: 0, fields: 0, next: 0 });
        if let Type::Struct(schema) = data_type {
            self.nodes[at].fields = schema.columns.len();
            for column in &schema.columns {
                let name = bare(column.name);
                let joint = if path.is_empty() { "" } else { "_" };
                self.add(name, &format!("{path}{joint}{name}"), &column.data_type);
            }
        }
        let (next, cells) = (self.nodes.len(), self.cells);
        let node = &mut self.nodes[at];
        (node.next, node.cells) = (next, cells - node.cell);
    }
}
