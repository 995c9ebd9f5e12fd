//! The compact events as records of thalweg: `Copy` types of a fixed size, read where they lie.

use crate::event::{Auction, Bid, Event, Person};
use thalweg::record::{Plain, Schema, Type, Visitor};

macro_rules! plain {
    ($($name:ident { $($field:ident: $type:expr),* })*) => {$(
        impl Plain for $name {
            fn data_type() -> Type {
                Type::Struct(Schema::new(stringify!($name), [$((stringify!($field), $type)),*]))
            }
            fn visit(&self, to: &mut dyn Visitor) {
                to.fields();
                $(to.field(stringify!($field)); thalweg::record::Record::visit(&self.$field, to);)*
                to.end();
            }
        }
    )*};
}

plain! {
    Person {
        id: Type::Uint(64), date_time: Type::Uint(64), name: Type::Bytes, city: Type::Bytes,
        state: Type::Bytes
    }
    Auction {
        id: Type::Uint(64), seller: Type::Uint(64), category: Type::Uint(64),
        initial_bid: Type::Uint(64), reserve: Type::Uint(64), date_time: Type::Uint(64),
        expires: Type::Uint(64)
    }
    Bid {
        auction: Type::Uint(64), bidder: Type::Uint(64), price: Type::Uint(64),
        date_time: Type::Uint(64)
    }
}

impl Plain for Event {
    fn data_type() -> Type {
        let variants = [
            ("Person", Person::data_type()),
            ("Auction", Auction::data_type()),
            ("Bid", Bid::data_type()),
        ];
        Type::Enum(Schema::new("Event", variants))
    }
    fn visit(&self, to: &mut dyn Visitor) {
        match self {
            Event::Person(person) => {
                to.variant("Person");
                Plain::visit(person, to);
            }
            Event::Auction(auction) => {
                to.variant("Auction");
                Plain::visit(auction, to);
            }
            Event::Bid(bid) => {
                to.variant("Bid");
                Plain::visit(bid, to);
            }
        }
    }
}
