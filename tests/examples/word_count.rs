//! Counts the words of a text file: `cargo run --example word_count -- README.md`.

use clap::Parser;
use thalweg::prelude::*;
use thalweg::sys::probe::cores;

/// Counts the words of a text file.
#[derive(Parser)]
pub struct Options {
    /// A text file.
    #[arg(default_value = "README.md")]
    pub path: String,
    /// How many shards; as many as there are cores when left out.
    #[arg(long, default_value_t = cores())]
    pub shards: usize,
}

fn main() -> Result {
    let options = Options::parse();
    let job = Job::new("word-count").shards(options.shards);
    word_count(&job, &options.path).sink(Stdout::csv());
    job.run()?;
    Ok(())
}

record! {
    /// A word and how often it stands in the file.
    #[derive(Eq, PartialOrd, Ord)]
    pub struct Counted {
        /// The word.
        pub word: String,
        /// How often.
        pub count: u64,
    }
}

/// Every word in small letters with its count.
pub fn word_count(job: &Job, path: &str) -> Stream<Counted> {
    job.source(Files::lines(path).splits_per_file(4))
        .flat_map(|line, out: &mut Emit<'_, String>| {
            for word in line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                out.push(&word.to_lowercase());
            }
        })
        .key_by_ref(|word| word)
        .aggregate_final(|words| words.count())
        .map(|(word, count)| Counted { word: word.to_owned(), count })
        .settle()
}
