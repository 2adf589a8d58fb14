//! Measuring in this process, with progress on the screen.

use std::path::Path;

use lat_data::{Journal, has_run, read_run};
use lat_profiler::{DeviceSpec, Event, FakeTestbed, ProfileOptions, Verdict, calibrate_reference};
use lat_space::SearchSpace;

use super::args::Args;
use super::faults;
use crate::cli::STOP;
use crate::cli::output::Screen;

/// The CPU's reference time in milliseconds: that of the run to be resumed, else measured now.
pub(super) fn reference_ms(device: DeviceSpec, dir: &Path) -> anyhow::Result<Option<f64>> {
    if device != DeviceSpec::Cpu {
        return Ok(None);
    }
    let resumed = if has_run(dir) { read_run(dir)?.0.reference_ms } else { None };
    Ok(Some(match resumed {
        Some(ms) => ms,
        None => calibrate_reference()?,
    }))
}

pub(super) fn measure(
    args: &Args,
    space: &dyn SearchSpace,
    options: &ProfileOptions,
    journal: &mut Journal,
    screen: Screen,
) -> anyhow::Result<Verdict> {
    let bar = screen.bar("architectures");
    let mut on_event = |event: Event<'_>| match event {
        Event::Begun { done, total } => {
            bar.set_length(total);
            bar.set_position(done);
            bar.reset_eta();
            // A fresh process that the run itself started simply continues, so it prints no such note.
            if done > 0 && done < total && options.rounds.is_empty() && !args.fresh {
                screen.note(Some(&bar), &format!("resuming: {done} of {total} rows are there"));
            }
        }
        Event::Row { done, row, .. } => {
            bar.set_position(done);
            bar.set_message(format!("{:.3} ms", row.latency_ms));
        }
        Event::Soaked { seconds, flat } if !flat => {
            let line = format!(
                "latency still moves after {seconds:.0} s of warming up; other programs may be running"
            );
            screen.note(Some(&bar), &line);
        }
        Event::Drifted { rows } => {
            let line = format!(
                "the device was off its level for a while; measuring {rows} rows again, anchors before and after them"
            );
            bar.inc_length(rows);
            screen.note(Some(&bar), &line);
        }
        _ => {}
    };
    let verdict = if args.fake_fault.is_empty() {
        lat_profiler::run(space, options, journal, &mut on_event, &STOP)
    } else {
        let mut bed = FakeTestbed::new(options.seed, options.batch);
        bed.faults = faults::together(&args.fake_fault);
        lat_profiler::run_on(&mut bed, space, options, journal, &mut on_event, &STOP)
    };
    bar.finish_and_clear();
    Ok(verdict?)
}
