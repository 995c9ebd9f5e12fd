//! Tuples of aggregates are aggregates.

use super::Aggregate;
use crate::record::Record;
use crate::time::Timestamp;

macro_rules! tuple {
    ($($type:ident $n:tt),*) => {
        impl<R: Record, $($type: Aggregate<R>),*> Aggregate<R> for ($($type,)*) {
            type Acc = ($($type::Acc,)*);
            type Out = ($($type::Out,)*);
            const MERGES: bool = $($type::MERGES)&&*;
            const INVERTS: bool = $($type::INVERTS)&&*;

            #[inline(always)]
            fn start(&self, at: Timestamp, record: R::View<'_>) -> Self::Acc {
                ($(self.$n.start(at, record),)*)
            }
            #[inline(always)]
            fn add(&self, acc: &mut Self::Acc, at: Timestamp, record: R::View<'_>) {
                $(self.$n.add(&mut acc.$n, at, record);)*
            }
            #[inline(always)]
            fn merge(&self, acc: &mut Self::Acc, other: &Self::Acc) {
                $(self.$n.merge(&mut acc.$n, &other.$n);)*
            }
            #[inline(always)]
            fn subtract(&self, acc: &mut Self::Acc, other: &Self::Acc) {
                $(self.$n.subtract(&mut acc.$n, &other.$n);)*
            }
            fn name(&self) -> String {
                format!("({})", [$(self.$n.name()),*].join(", "))
            }
            fn result(&self, acc: &Self::Acc) -> Self::Out {
                ($(self.$n.result(&acc.$n),)*)
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
