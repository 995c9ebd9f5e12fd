//! The types of a join under one name.

use std::marker::PhantomData;

use crate::operator::{KeyOf, Pairing};
use crate::record::{Key, Record};

/// What a join is of: the records of two sides, how each one's key is got, and the rows that they
/// make. A join's operator has this one parameter instead of six; [`Of`] is how it is given.
pub trait Joint: 'static {
    /// A record of the left stream.
    type Left: Record;
    /// A record of the right stream.
    type Right: Record;
    /// What the records of both have in common.
    type Key: Key;
    /// Gets the key of a left record.
    type LeftBy: KeyOf<Self::Left, Key = Self::Key>;
    /// Gets the key of a right record.
    type RightBy: KeyOf<Self::Right, Key = Self::Key>;
    /// What comes out.
    type Out: Record;
    /// Makes it.
    type Pairing: Pairing<Self::Left, Self::Right, Out = Self::Out>;
}

/// Left records and how their key is got, right records and how theirs is got, and what makes
/// rows of them. It names types and has no values.
pub struct Of<L, BL, R, BR, P>(PhantomData<fn(L, BL, R, BR, P)>);

impl<L, BL, R, BR, P> Joint for Of<L, BL, R, BR, P>
where
    L: Record,
    R: Record,
    BL: KeyOf<L>,
    BR: KeyOf<R, Key = BL::Key>,
    P: Pairing<L, R>,
{
    type Left = L;
    type Right = R;
    type Key = BL::Key;
    type LeftBy = BL;
    type RightBy = BR;
    type Out = P::Out;
    type Pairing = P;
}
