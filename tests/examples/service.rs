//! A job in a web service: `cargo run --example service -- --port 8080`, then
//!
//! ```sh
//! curl -N localhost:8080/counts &
//! curl localhost:8080/views -H 'content-type: application/json' \
//!     -d '[{"page": "/", "at_ms": 1000}, {"page": "/", "at_ms": 2500}]'
//! curl localhost:8080/metrics
//! ```
//!
//! Views of pages come in by `POST /views`; how many each page had in each second goes out by
//! `GET /counts`, as server-sent events to whoever listens. No thread of the web server ever waits
//! for the job: handlers wait by their wakers.

use std::future::Future;
use std::sync::{Arc, Weak};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Parser;
use futures_util::stream::{Stream as Events, unfold};
use thalweg::connector::{Receiver, Sender};
use thalweg::operator::Source;
use thalweg::prelude::*;
use thalweg::sys::probe::cores;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, WeakSender};
use tokio::task::spawn_blocking;

record! {
    /// A page was looked at.
    pub struct View {
        /// Which one.
        pub page: String,
        /// When, in milliseconds since 1970.
        pub at_ms: i64,
    }
}

record! {
    /// How often a page was looked at in a second.
    pub struct Count {
        /// The page.
        pub page: String,
        /// The second, in milliseconds since 1970.
        pub from_ms: i64,
        /// How often.
        pub views: u64,
    }
}

/// Records that wait on the way into the job, and out of it.
const UNDER_WAY: usize = 1_024;

/// How often each page was looked at in each second. A view may come 500 ms after newer ones.
pub fn counts(job: &Job, views: impl Source<Record = View>) -> Stream<Count> {
    job.source(views)
        .event_time(|view| Timestamp::from_millis(view.at_ms.to_native()), 500.millis())
        .key_by_ref(|view| view.page.as_str())
        .window(Tumbling::of(1.seconds()))
        .aggregate(|views| views.count())
        .map(|window| Count {
            page: window.key.to_owned(),
            from_ms: window.start.millis(),
            views: window.value,
        })
        .settle()
}

/// What the handlers share.
#[derive(Clone)]
struct App {
    /// One sender for all of them: each clone would have a ring of its own.
    views: Arc<Mutex<Sender<View>>>,
    /// Gone when the job has ended.
    counts: WeakSender<Count>,
    running: Weak<Running>,
}

async fn take_views(
    State(app): State<App>,
    Json(views): Json<Vec<View>>,
) -> Result<StatusCode, (StatusCode, String)> {
    let mut sender = app.views.lock().await;
    for view in views {
        // Waits while the job does not keep up, and with it the client.
        let sent = sender.send_async(view).await;
        sent.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    }
    Ok(StatusCode::ACCEPTED)
}

async fn give_counts(
    State(app): State<App>,
) -> Result<Sse<impl Events<Item = Result<Event, axum::Error>>>, StatusCode> {
    let counts = app.counts.upgrade().ok_or(StatusCode::GONE)?.subscribe();
    Ok(Sse::new(unfold(counts, |mut counts| async move {
        loop {
            match counts.recv().await {
                Ok(count) => return Some((Event::default().json_data(count), counts)),
                // Who is too slow misses the oldest; the job does not wait for it.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })))
}

async fn give_metrics(State(app): State<App>) -> Result<String, StatusCode> {
    let running = app.running.upgrade().ok_or(StatusCode::GONE)?;
    Ok(running.metrics().prometheus())
}

/// Hands counts on to all who listen, until the job has ended.
async fn hand_on(mut counts: Receiver<Count>, to: broadcast::Sender<Count>) {
    while let Some(count) = counts.recv_async().await {
        // An error says that nobody listens.
        let _ = to.send(count);
    }
}

/// Serves until it is told to stop; then the job is stopped, and all who listen hear the end.
pub async fn serve(
    listener: TcpListener,
    shards: usize,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<Report> {
    let (views, source) = Channel::source::<View>(UNDER_WAY);
    let (sink, results) = Channel::sink::<Count>(UNDER_WAY);
    let start = move || {
        let job = Job::new("views").shards(shards);
        counts(&job, source).sink(sink);
        job.start()
    };
    // To start a job opens what it needs and starts threads: not for a thread of the server.
    let running = Arc::new(spawn_blocking(start).await.map_err(std::io::Error::other)??);
    let (all, _) = broadcast::channel(UNDER_WAY);
    let views = Arc::new(Mutex::new(views));
    let app = App { views, counts: all.downgrade(), running: Arc::downgrade(&running) };
    let handing = tokio::spawn(hand_on(results, all));
    let router = Router::new()
        .route("/views", post(take_views))
        .route("/counts", get(give_counts))
        .route("/metrics", get(give_metrics))
        .with_state(app);
    let stopping = running.clone();
    let stop = async move {
        stop.await;
        stopping.stop();
    };
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    handing.await.map_err(std::io::Error::other)?;
    // Waits for threads, which a task must not.
    let join = || Arc::into_inner(running).expect("all handlers have ended").join();
    spawn_blocking(join).await.map_err(std::io::Error::other)?
}

/// Counts views of pages.
#[derive(Parser)]
pub struct Options {
    /// Where to listen on the loopback interface.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// How many shards; as many as there are cores when left out.
    #[arg(long, default_value_t = cores())]
    pub shards: usize,
}

fn main() -> Result {
    let options = Options::parse();
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        let stop = async { drop(tokio::signal::ctrl_c().await) };
        println!("{}", serve(listener, options.shards, stop).await?);
        Ok(())
    })
}
