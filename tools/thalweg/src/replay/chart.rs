//! A page that shows how a replay went: no scripts, nothing from elsewhere.

use std::fmt::Display;

use anyhow::anyhow;
use plotters::chart::SeriesAnno;
use plotters::prelude::*;

use super::Plan;
use super::report::{PERCENTS, Report, told};
use super::tally::Row;

const SIZE: (u32, u32) = (860, 320);

/// A line of a chart: its name, its colour, its points.
type Line = (&'static str, RGBColor, Vec<(f64, f64)>);

/// The page.
///
/// # Errors
/// When a chart can't be drawn.
pub fn page(plan: &Plan, report: &Report) -> anyhow::Result<String> {
    let sum = &report.sum;
    let at = |of: fn(&Row) -> Option<f64>| -> Vec<(f64, f64)> {
        sum.rows.iter().filter_map(|row| Some((row.second as f64, of(row)?))).collect()
    };
    let step = sum.step as f64;
    // A last row that is short has few records, and not a low rate.
    let end = sum.elapsed.as_secs_f64();
    let whole = |second: f64| second == 0.0 || end - second >= step * 0.9;
    let per_second = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
        let points = points.into_iter().filter(|(second, _)| whole(*second));
        points
            .map(|(second, records)| (second, records / step.min((end - second).max(1e-3))))
            .collect()
    };
    let scheduled = per_second(at(|row| Some(row.scheduled as f64)));
    let rates = [
        ("scheduled", RGBColor(120, 120, 120), scheduled),
        ("sent", RGBColor(20, 110, 180), per_second(at(|row| Some(row.sent as f64)))),
    ];
    let mut charts = chart("Records a second", "seconds since the start", &rates, false)?;
    if plan.is_paced() {
        let late = [
            ("p50", RGBColor(20, 110, 180), at(|row| row.p50_us)),
            ("p99", RGBColor(220, 130, 20), at(|row| row.p99_us)),
            ("max", RGBColor(190, 40, 40), at(|row| row.max_us)),
        ];
        charts += &chart("Lateness in µs, over time", "seconds since the start", &late, true)?;
        let spread = [("lateness", RGBColor(20, 110, 180), percentiles(report))];
        let nines = "nines of the percentile: 1 is p90, 2 is p99, 3 is p99.9";
        charts += &chart("Lateness in µs, by percentile", nines, &spread, true)?;
    }
    let mut rows = String::new();
    let mut row = |name: &str, value: &dyn Display| {
        rows += &format!("<tr><th>{name}</th><td>{}</td></tr>\n", escaped(&value.to_string()));
    };
    row("to", &plan.args.to);
    row("timing", &plan.timing());
    let choices = plan.choices();
    if !choices.is_empty() {
        row("with", &choices.join(", "));
    }
    row("began", &report.began);
    row("ended", &report.ended());
    row("scheduled", &sum.scheduled);
    row("sent", &sum.sent);
    row("could not be sent", &sum.unsent);
    row("seconds", &format!("{:.3}", sum.elapsed.as_secs_f64()));
    row("records a second", &format!("{:.0}", sum.rate()));
    if plan.is_paced() {
        for percent in PERCENTS {
            row(&format!("late, p{percent}"), &told(sum.percentile(percent)));
        }
        row("late, max", &told(sum.max()));
    }
    if let Some(again) = report.again() {
        row("again", &again);
    }
    for note in &report.notes {
        row("note", note);
    }
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>thalweg replay</title>\n\
         <style>body{{font:15px/1.5 sans-serif;max-width:900px;margin:2em auto;padding:0 1em}}\
         th{{text-align:left;font-weight:normal;color:#666;padding-right:2em}}\
         svg{{max-width:100%;height:auto}}</style>\n\
         <h1>thalweg replay</h1>\n<table>\n{rows}</table>\n{charts}</html>\n"
    ))
}

/// Lateness by percentile: the nearer to all records, the wider.
fn percentiles(report: &Report) -> Vec<(f64, f64)> {
    let late = report.sum.lateness();
    let all = late.len().max(1) as f64;
    // As far as there are records that tell.
    let most = all.log10().min(6.0);
    let point = |step: u32| {
        let nines = f64::from(step) / 20.0;
        let quantile = 1.0 - 10_f64.powf(-nines);
        (nines, late.value_at_quantile(quantile) as f64 / 1e3)
    };
    (0..=120).map(point).take_while(|(nines, _)| *nines <= most).collect()
}

fn chart(title: &str, below: &str, lines: &[Line], log: bool) -> anyhow::Result<String> {
    let points = || lines.iter().flat_map(|(_, _, points)| points.iter().copied());
    let right = points().map(|(x, _)| x).fold(1.0, f64::max);
    let top = points().map(|(_, y)| y).fold(1.0, f64::max) * 1.1;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut builder = ChartBuilder::on(&area);
        builder.caption(title, ("sans-serif", 18)).margin(8);
        builder.x_label_area_size(36).y_label_area_size(70);
        let drawn = if log {
            // What is below is shown at the bottom.
            let bottom = 0.1;
            let mut chart = builder
                .build_cartesian_2d(0.0..right, (bottom..top.max(1.0)).log_scale())
                .map_err(cannot)?;
            chart.configure_mesh().x_desc(below).light_line_style(WHITE).draw().map_err(cannot)?;
            for (name, color, points) in lines {
                let points = points.iter().map(|(x, y)| (*x, y.max(bottom)));
                let style = ShapeStyle::from(color).stroke_width(2);
                let series = chart.draw_series(LineSeries::new(points, style)).map_err(cannot)?;
                key(series, name, *color);
            }
            chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()
        } else {
            let mut chart = builder.build_cartesian_2d(0.0..right, 0.0..top).map_err(cannot)?;
            chart.configure_mesh().x_desc(below).light_line_style(WHITE).draw().map_err(cannot)?;
            for (name, color, points) in lines {
                let style = ShapeStyle::from(color).stroke_width(2);
                let series = LineSeries::new(points.iter().copied(), style);
                key(chart.draw_series(series).map_err(cannot)?, name, *color);
            }
            chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()
        };
        drawn.map_err(cannot)?;
        area.present().map_err(cannot)?;
    }
    Ok(svg)
}

/// Names a line.
fn key(series: &mut SeriesAnno<'_, SVGBackend<'_>>, name: &str, color: RGBColor) {
    series.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
}

fn cannot(error: impl Display) -> anyhow::Error {
    anyhow!("a chart can't be drawn: {error}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
