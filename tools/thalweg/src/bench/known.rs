//! The right results, as far as they are known in advance.

/// Right results for one number of events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The number of events.
    pub(super) events: u64,
    /// Query, rows, digest.
    pub(super) results: &'static [(&'static str, u64, u64)],
}

/// Of the number of events that is run unless told otherwise, for every query whose rows do not
/// depend on the clock.
///
/// They are what `thalweg bench nexmark --format csv` gives with 1, 2, 4 and 8 shards, and what the
/// naive programs of `tests/nexmark/oracle.rs` compute from the same events.
pub(super) const KNOWN: Known = Known {
    events: 2_000_000,
    results: &[
        ("q0", 1_840_000, 0x0edc_bebf_8045_4871),
        ("q1", 1_840_000, 0x2146_c4c7_3fe6_8b26),
        ("q2", 14_407, 0x4ac4_e3a9_a499_3fdd),
        ("q3", 12_374, 0x802f_0b6e_f24e_60cd),
        ("q4", 5, 0xcc8a_f283_8f72_e10d),
        ("q5", 119, 0x171a_41b6_39ad_0877),
        ("q6", 111_934, 0x0ec2_9405_748f_68cd),
        ("q7", 21, 0x0783_1062_18b2_7b2f),
        ("q8", 16_839, 0xa00b_1820_5f9c_d016),
        ("q9", 111_934, 0x53e2_f88e_f95d_ef44),
        ("q10", 1_840_000, 0x8194_f637_cc12_ab18),
        ("q11", 39_928, 0xee4d_3e34_e113_077c),
        ("q13", 1_840_000, 0xdc94_7900_a3d9_3eea),
        ("q14", 522_280, 0x7d4c_686c_3a79_df17),
        ("q15", 1, 0x4ab2_e879_431e_8c58),
        ("q16", 10_004, 0x281d_a790_33ac_12dd),
        ("q17", 119_958, 0x15f5_4b51_c575_5d78),
        ("q18", 586_180, 0xfa27_c74e_0187_bf2f),
        ("q19", 883_005, 0x86f2_39aa_3675_4c07),
        ("q20", 359_443, 0x3173_87ad_5f4a_1a59),
        ("q21", 1_754_720, 0xc98f_2bb0_1ec5_dec8),
        ("q22", 1_840_000, 0x2e4e_0b0d_6e4e_b150),
    ],
};

impl Known {
    /// Rows and digest of a query for so many events.
    pub(super) fn result(&self, query: &str, events: u64) -> Option<(u64, u64)> {
        let results = self.results.iter().filter(|_| events == self.events);
        let mut of_query = results.filter(|result| result.0 == query);
        of_query.next().map(|&(_, rows, digest)| (rows, digest))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::KNOWN;
    use crate::args::{Args, Command, Suite};
    use crate::bench::nexmark::{Check, QUERIES};

    #[test]
    fn results_are_known_for_the_events_of_a_plain_run() {
        let args = Args::parse_from(["thalweg", "bench", "nexmark"]);
        let Command::Bench(Suite::Nexmark(args)) = args.command else { panic!("{args:?}") };
        assert_eq!(args.events.get(), KNOWN.events);
    }

    #[test]
    fn every_query_with_a_digest_is_known_once() {
        let known: Vec<&str> = KNOWN.results.iter().map(|result| result.0).collect();
        let digests = QUERIES.iter().filter(|query| matches!(query.check, Check::Digest));
        assert_eq!(known, digests.map(|query| query.name).collect::<Vec<_>>());
    }
}
