//! The plot: for each way of sending a select, the latency that a proxy adds and the processor
//! time it takes, as bars. Plain SVG, readable on light and dark pages.

use std::fmt::Write;

use crate::load::script::Protocol;
use crate::report::Report;
use crate::workload::DIRECT;

const LABEL_WIDTH: f64 = 150.0;
const BAR_WIDTH: f64 = 230.0;
const PANEL_WIDTH: f64 = LABEL_WIDTH + BAR_WIDTH + 70.0;
const ROW_HEIGHT: f64 = 18.0;
const TOP: f64 = 52.0;
const GROUP_GAP: f64 = 12.0;

/// For the proxies in their order; further ones begin anew.
const COLORS: [&str; 5] = ["#8a8f98", "#2f7ed8", "#e08e2b", "#5aa454", "#a05fb0"];

/// One bar: the proxy's place in the order, its name, its value.
type Bar = (usize, String, f64);

struct Panel {
    title: &'static str,
    groups: Vec<(&'static str, Vec<Bar>)>,
}

/// `None` when the report lacks what the plot shows.
pub fn svg(report: &Report) -> Option<String> {
    let latency = panel("latency added at 1 client, p50, µs", |protocol| {
        let workload = format!("select, {}, 1 client", protocol.name());
        bars(report, &workload, |row| row.added_p50_us)
    });
    let cpu = panel("proxy CPU per transaction at 8 clients, µs", |protocol| {
        let workload = format!("select, {}", protocol.name());
        bars(report, &workload, |row| row.proxy_cpu_us)
    });
    let panels: Vec<Panel> = [latency, cpu].into_iter().flatten().collect();
    let rows = |panel: &Panel| {
        panel
            .groups
            .iter()
            .map(|(_, bars)| bars.len())
            .sum::<usize>()
    };
    let most = panels.iter().map(rows).max()?;
    let width = PANEL_WIDTH * panels.len() as f64;
    let height = TOP + most as f64 * ROW_HEIGHT + 3.0 * GROUP_GAP + 30.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        panel.write(&mut out, PANEL_WIDTH * index as f64);
    }
    let _ = writeln!(
        out,
        "<text x=\"12\" y=\"{}\" fill=\"#666\">{}, {} cores, medians of {} rounds</text>\n</svg>",
        height - 10.0,
        escaped(&report.machine.date),
        report.machine.cores,
        report.rounds
    );
    Some(out)
}

fn panel(title: &'static str, bars: impl Fn(Protocol) -> Vec<Bar>) -> Option<Panel> {
    let groups = Protocol::ALL.map(|protocol| (protocol.name(), bars(protocol)));
    let groups: Vec<_> = groups.into_iter().filter(|(_, b)| !b.is_empty()).collect();
    (!groups.is_empty()).then_some(Panel { title, groups })
}

fn bars(
    report: &Report,
    workload: &str,
    value: impl Fn(&crate::rounds::Row) -> Option<f64>,
) -> Vec<Bar> {
    let figures = report.figures.iter().find(|f| f.workload == workload);
    figures
        .iter()
        .flat_map(|figures| &figures.rows)
        .filter(|row| row.label != DIRECT)
        .enumerate()
        .filter_map(|(order, row)| Some((order, row.label.clone(), value(row)?)))
        .collect()
}

impl Panel {
    fn write(&self, out: &mut String, left: f64) {
        let all = self.groups.iter().flat_map(|(_, bars)| bars);
        let largest = all.map(|bar| bar.2).fold(0.1, f64::max);
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"24\" font-size=\"14\" fill=\"#222\">{}</text>",
            left + 12.0,
            self.title
        );
        let mut y = TOP;
        for (name, bars) in &self.groups {
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{}\" fill=\"#666\">{name}</text>",
                left + 12.0,
                y + 11.0
            );
            for (order, label, value) in bars {
                let bar = (value.max(0.0) / largest * BAR_WIDTH).max(1.0);
                let x = left + LABEL_WIDTH;
                let _ = writeln!(
                    out,
                    "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#222\">{}</text>\
                     <rect x=\"{x}\" y=\"{y}\" width=\"{bar:.1}\" height=\"{}\" fill=\"{}\"/>\
                     <text x=\"{:.1}\" y=\"{}\" fill=\"#222\">{value:.1}</text>",
                    x - 6.0,
                    y + 11.0,
                    escaped(label),
                    ROW_HEIGHT - 4.0,
                    COLORS[order % COLORS.len()],
                    x + bar + 5.0,
                    y + 11.0
                );
                y += ROW_HEIGHT;
            }
            y += GROUP_GAP;
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
