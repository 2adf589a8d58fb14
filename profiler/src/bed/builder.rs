//! Builds the next network while another one is timed.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use lat_nn::WeightArena;
use lat_space::Graph;
use tch::Tensor;

use crate::{NetWorkload, ProfileError, Task};

/// Builds networks on a thread of its own, one ahead of the measurements, so that a GPU does not wait. Weights come from an
/// arena, so building enqueues nothing on the GPU that is being timed, except for shapes that are new.
#[derive(Debug)]
pub(crate) struct Builder {
    jobs: Sender<Graph>,
    built: Receiver<Result<NetWorkload, ProfileError>>,
    /// The task whose network is being built.
    ahead: Option<Task>,
}

impl Builder {
    /// A builder for networks with this input.
    pub(crate) fn new(arena: Arc<WeightArena>, input: Tensor) -> Self {
        let (jobs, todo) = channel::<Graph>();
        let (done, built) = channel();
        thread::spawn(move || {
            // The loop ends when the builder is dropped.
            for graph in todo {
                if done.send(NetWorkload::new(&graph, &arena, &input)).is_err() {
                    return;
                }
            }
        });
        Self { jobs, built, ahead: None }
    }

    /// Begins to build the network that will be asked for next.
    pub(crate) fn begin(&mut self, graph: &Graph, task: Task) {
        if self.ahead.is_none() && self.jobs.send(graph.clone()).is_ok() {
            self.ahead = Some(task);
        }
    }

    /// The network of this task, if it is the one that was begun.
    pub(crate) fn take(&mut self, task: Task) -> Option<Result<NetWorkload, ProfileError>> {
        let ahead = self.ahead.take()?;
        // A network that was begun for another task is finished and dropped, so that it is not taken for the next one.
        let built = self.built.recv().ok()?;
        (ahead == task).then_some(built)
    }
}

#[cfg(test)]
mod tests {
    use lat_data::Role;
    use lat_space::{find_skeleton, find_space};
    use tch::{Device, Kind};

    use super::*;
    use crate::Workload;

    #[test]
    fn the_network_begun_is_the_one_taken_and_another_is_not_mistaken_for_it() {
        let space = find_space("nasbench201").unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        let arena = WeightArena::new(Device::Cpu, Kind::Float, false);
        let input = arena.images(1, skeleton.resolution).unwrap();
        let mut builder = Builder::new(arena, input);
        let task = |index| Task { role: Role::Sample, index, occurrence: 0 };
        let graph = space.graph(&skeleton).derive(&space.at(77));
        assert!(builder.take(task(1)).is_none(), "nothing was begun");
        builder.begin(&graph, task(1));
        builder.take(task(1)).unwrap().unwrap().enqueue().unwrap();
        builder.begin(&graph, task(2));
        assert!(builder.take(task(3)).is_none());
        builder.begin(&graph, task(3));
        builder.take(task(3)).unwrap().unwrap().enqueue().unwrap();
    }
}
