//! Pages that are split because their entries take much.

use super::tests::{Twin, packing};
use super::*;

#[test]
fn a_heavy_page_is_split_instead_of_being_packed_with_all_its_entries() {
    let mut table: PagedTable<u64, Vec<u64>> = PagedTable::of(packing());
    let mut hashes = (0..20_u64).map(|number| (number, key::hash(&number))).cycle();
    // One page holds all of them until they are long.
    for (number, hash) in hashes.by_ref().take(20 * 100) {
        table.entry(hash, |key| *key == number, || (number, Vec::new())).push(number);
        table.tend();
    }
    assert!(table.pages.pages() >= 8, "only {} pages", table.pages.pages());
    table.begin_save(true);
    let mut shown = Vec::new();
    while !table.save_some(1, |change| {
        let Change::Put(number, list) = change else { panic!("nothing was taken out") };
        assert_eq!(*list, vec![*number; 100], "as it was when the save began");
        shown.push(*number);
    }) {
        // The split of a page that is still to be shown, or was shown, neither hides nor doubles.
        for (number, hash) in hashes.by_ref().take(7) {
            table.get_mut(hash, |key| *key == number).expect("it is there").push(0);
        }
        table.tend();
    }
    shown.sort_unstable();
    assert!(shown.iter().copied().eq(0..20), "{shown:?}");
}

/// What a twin does first of all once a save has begun, which may split the page.
#[derive(Clone, Copy, Debug)]
enum First {
    Change(u64),
    Save,
}

#[test]
fn a_page_may_be_split_when_it_is_opened_or_shown() {
    let firsts = (0..20).map(First::Change).chain([First::Save]);
    for (asked, first) in (0..8).flat_map(|asked| firsts.clone().map(move |first| (asked, first))) {
        let mut twin: Twin<u64, Vec<u64>> = Twin::default();
        twin.table = PagedTable::of(packing());
        (0..20).for_each(|number| twin.put(number, Vec::new()));
        twin.begin(true);
        twin.save(100);
        // Nobody looks while the lists grow, and one entry goes: what is left is shown anew.
        (1..20).for_each(|number| twin.put(number, vec![number; 100]));
        twin.remove(0);
        (0..asked).for_each(|_| twin.table.relieve());
        twin.begin(false);
        match first {
            First::Change(number) => twin.put(number, vec![7; 100]),
            First::Save => twin.save(1),
        }
        twin.save(100);
        twin.check();
        assert!(twin.saving.is_none(), "after {asked} looks, {first:?}");
    }
}
