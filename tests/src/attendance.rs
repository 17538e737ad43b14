//! Which consumer groups have come to rest since faults have ended.
//!
//! A group rests in a generation (in the consumer protocol: in a member epoch) when everybody who
//! belongs to it has worked in that one, and they own every partition of its topic between them, each
//! once. Members ask while the world runs, to know how long to stay; the checker of `stuck-group`
//! asks the same of the whole history afterwards.

use std::collections::BTreeMap;

use crate::history::{ConsumerGroup, Event, Topic};

/// What a member worked on last.
#[derive(Clone, Debug)]
struct Work {
    generation: i32,
    partitions: Vec<i32>,
}

#[derive(Debug, Default)]
struct Roll {
    topic: Topic,
    /// Of the group's topic.
    partitions: i32,
    /// By actor: what it worked on since faults have ended.
    members: BTreeMap<u32, Option<Work>>,
    has_rested: bool,
}

impl Roll {
    fn rests(&self) -> bool {
        let works: Option<Vec<&Work>> = self.members.values().map(Option::as_ref).collect();
        let Some(works) = works else { return false };
        let mut owned: Vec<i32> =
            works.iter().flat_map(|work| work.partitions.iter().copied()).collect();
        owned.sort_unstable();
        works.windows(2).all(|pair| pair[0].generation == pair[1].generation)
            && (works.is_empty() || owned.into_iter().eq(0..self.partitions))
    }

    fn describe(&self) -> String {
        let one = |(member, work): (&u32, &Option<Work>)| match work {
            None => format!("actor {member} did not work"),
            Some(Work { generation, partitions }) => {
                format!("actor {member} worked on {partitions:?} in generation {generation}")
            }
        };
        self.members.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// The members of every group, and whether it rests.
#[derive(Debug, Default)]
pub struct Attendance {
    groups: BTreeMap<ConsumerGroup, Roll>,
    /// Faults have ended.
    is_calm: bool,
}

impl Attendance {
    /// Takes in the next event of a history.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Enrolled { consumer_group, member, topic, partitions } => {
                let roll = self.groups.entry(*consumer_group).or_default();
                (roll.topic, roll.partitions) = (*topic, *partitions);
                roll.members.insert(*member, None);
            }
            Event::Dismissed { consumer_group, member } => {
                let roll = self.groups.entry(*consumer_group).or_default();
                roll.members.remove(member);
                roll.has_rested |= self.is_calm && roll.rests();
            }
            Event::Worked { consumer_group, member, generation, partitions } if self.is_calm => {
                let roll = self.groups.entry(*consumer_group).or_default();
                let (generation, partitions) = (*generation, partitions.clone());
                roll.members.insert(*member, Some(Work { generation, partitions }));
                roll.has_rested |= roll.rests();
            }
            Event::Calm => self.is_calm = true,
            _ => {}
        }
    }

    /// Whether the group has come to rest.
    #[must_use]
    pub fn has_rested(&self, consumer_group: ConsumerGroup) -> bool {
        self.groups.get(&consumer_group).is_some_and(|roll| roll.has_rested)
    }

    /// Every group, and its topic.
    pub fn groups(&self) -> impl Iterator<Item = (ConsumerGroup, Topic)> + '_ {
        self.groups.iter().map(|(group, roll)| (*group, roll.topic))
    }

    /// Groups that did not come to rest although faults have ended, and what their members did.
    pub fn stuck(&self) -> impl Iterator<Item = (ConsumerGroup, String)> + '_ {
        let stuck = self.groups.iter().filter(|(_, roll)| self.is_calm && !roll.has_rested);
        stuck.map(|(group, roll)| (*group, roll.describe()))
    }
}
