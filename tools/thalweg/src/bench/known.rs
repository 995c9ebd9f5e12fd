//! The right results, as far as they are known in advance.
//!
//! They were made by `thalweg bench nexmark --shards 1 --format csv`.

/// The number of events that these results belong to: the one that is run unless told otherwise.
pub(super) const EVENTS: u64 = 2_000_000;

/// Query, rows, digest.
const RESULTS: &[(&str, u64, u64)] = &[
    ("q0", 1_840_000, 0x0edc_bebf_8045_4871),
    ("q1", 1_840_000, 0x2146_c4c7_3fe6_8b26),
    ("q2", 14_407, 0x4ac4_e3a9_a499_3fdd),
    ("q4", 5, 0xcc8a_f283_8f72_e10d),
    ("q5", 119, 0x171a_41b6_39ad_0877),
    ("q6", 111_934, 0x0ec2_9405_748f_68cd),
    ("q7", 21, 0x0783_1062_18b2_7b2f),
    ("q9", 111_934, 0x53e2_f88e_f95d_ef44),
    ("q10", 1_840_000, 0x8194_f637_cc12_ab18),
    ("q13", 1_840_000, 0xdc94_7900_a3d9_3eea),
    ("q14", 522_280, 0x7d4c_686c_3a79_df17),
    ("q15", 1, 0x4ab2_e879_431e_8c58),
    ("q16", 10_004, 0x281d_a790_33ac_12dd),
    ("q17", 119_958, 0x15f5_4b51_c575_5d78),
    ("q18", 586_180, 0xfa27_c74e_0187_bf2f),
    ("q19", 883_005, 0x86f2_39aa_3675_4c07),
    ("q21", 1_754_720, 0xc98f_2bb0_1ec5_dec8),
    ("q22", 1_840_000, 0x2e4e_0b0d_6e4e_b150),
];

/// Rows and digest of a query for so many events.
pub(super) fn result(query: &str, events: u64) -> Option<(u64, u64)> {
    let of_query = |result: &&(&str, u64, u64)| events == EVENTS && result.0 == query;
    RESULTS.iter().find(of_query).map(|&(_, rows, digest)| (rows, digest))
}
