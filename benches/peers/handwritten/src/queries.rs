//! The queries, one file each.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

type Map<K, V> = HashMap<K, V, FxBuildHasher>;

/// Hands a message to its owner: a call here, the ring for others.
macro_rules! route {
    ($self:ident, $out:ident, $key:expr, $m:expr) => {
        if ONE {
            Op::<ONE>::msg($self, 0, $m)
        } else {
            let to = $out.owner($key);
            if to == $out.me { Op::<ONE>::msg($self, to, $m) } else { $out.push(to, $m) }
        }
    };
}

mod q3;
mod q4;
mod q5;
mod q7;
mod q8;
mod stateless;

pub use q3::Q3;
pub use q4::Q4;
pub use q5::Q5;
pub use q7::Q7;
pub use q8::Q8;
pub use stateless::{Q0, Q1, Q2};
