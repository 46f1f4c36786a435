//! [`Planner`]: finds the times to poll a task at which polls and waiting together cost least, given a
//! [`Forecast`] of its duration and the seconds of waiting that a poll is worth. `Curve::new` has it make
//! two plans, one with slightly more polls than is best and one with slightly fewer (jitter chooses for
//! each poll), and find the worth of a poll where the settings name none.
//!
//! A look costs `worth` seconds, and every second between the end and the look that sees it costs
//! a second. With *F(t)* the chance of an end by age *t*, *A(t)* the integral of *F*, and *U(t)*
//! the chance of still running at *t* times the cost to come from there, the best plan obeys
//!
//! > *U(t) = min over s > t of  worth (1 − F(t)) + A(s) − A(t) − F(t) (s − t) + U(s).*
//!
//! What depends on *s* is *A(s) + U(s) − F(t) s*: a straight line in *F(t)* for each *s*, and the
//! minimum is the lower envelope of those lines. *F* falls as *t* goes back, so one backward walk
//! along the envelope solves it for all points in linear time. Where the hazard changes slowly, the result
//! is the spacing √(2 worth / hazard). Where it changes fast, above all before the first look, that
//! formula is wrong, and this plan is not.

use super::forecast::Forecast;
use super::scale::{self, LAST, POINTS};

/// What planning needs of a forecast, in seconds, by point.
pub(super) struct Planner<'a> {
    forecast: &'a Forecast,
    ages: Vec<f64>,
    ended: Vec<f64>,
    area: Vec<f64>,
}

/// The point to look at next, by the point where a task was seen running.
pub(super) type LookPlan = Vec<usize>;

impl<'a> Planner<'a> {
    pub(super) fn of(forecast: &'a Forecast) -> Self {
        let ages: Vec<f64> = (0..POINTS).map(scale::age_of).collect();
        let ended: Vec<f64> = (0..POINTS).map(|point| forecast.ended(point)).collect();
        let mut area = vec![0.0; POINTS];
        for point in 1..POINTS {
            let width = ages[point] - ages[point - 1];
            // Trapezia: the chance is taken to rise evenly between two points, as `between` takes
            // it.
            area[point] = area[point - 1] + (ended[point] + ended[point - 1]) / 2.0 * width;
        }
        Self { forecast, ages, ended, area }
    }

    /// The best plan for looks worth so many seconds and at least `floor` seconds apart.
    pub(super) fn plan(&self, worth: f64, floor: f64) -> LookPlan {
        let mut next = vec![LAST; POINTS];
        let beyond = self.forecast.spacing_beyond(self.ages[LAST], worth);
        let mut lines = Envelope::new(&self.ages);
        lines.cost[LAST] = self.area[LAST] + (1.0 - self.ended[LAST]) * beyond;
        let mut candidate = LAST;
        for point in (0..LAST).rev() {
            let (age, ended) = (self.ages[point], self.ended[point]);
            // A point closer than the floor is no candidate yet. The last one always is, so that
            // there is a line.
            while candidate > point && (candidate == LAST || self.ages[candidate] >= age + floor) {
                lines.push(candidate);
                candidate -= 1;
            }
            let (best, value) = lines.lowest(ended);
            next[point] = best;
            // A(t) + U(t), which is what this point's own line starts from.
            lines.cost[point] = worth * (1.0 - ended) + ended * age + value;
        }
        next
    }

    /// The worth of a look at which the best plan makes no more looks than `interval` seconds
    /// between looks would on a task of median duration, and no more than they would on average.
    pub(super) fn worth_of_interval(&self, interval: f64, floor: f64) -> f64 {
        let on_average = self.looks(|point| scale::point_of(self.ages[point] + interval));
        let at_median = self.forecast.median() / interval + 0.5;
        let budget = on_average.min(at_median.max(1.0)).max(FEWEST_LOOKS);
        let (mut low, mut high) = CREDIBLE_WORTH;
        for _ in 0..HALVINGS {
            // The geometric mean, since what counts between two worths is their ratio.
            let middle = f64::sqrt(low * high);
            let plan = self.plan(middle, floor);
            if self.looks(|point| plan[point]) > budget {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// How many looks a task takes on average.
    fn looks(&self, next: impl Fn(usize) -> usize) -> f64 {
        let (mut point, mut looks) = (0, 0.0);
        while point < LAST && 1.0 - self.ended[point] > NEVER {
            looks += 1.0 - self.ended[point];
            // At a high age an interval can be shorter than a step of the scale, and would not move
            // on.
            point = next(point).max(point + 1);
        }
        looks
    }
}

/// Lines `cost - ended * age`, one a point, of which only those lowest somewhere are kept.
///
/// Points come in falling order and `ended` is asked in falling order, so the answer only ever
/// moves towards the newest line.
struct Envelope<'a> {
    ages: &'a [f64],
    cost: Vec<f64>,
    lines: Vec<usize>,
    front: usize,
}

impl<'a> Envelope<'a> {
    fn new(ages: &'a [f64]) -> Self {
        Self { ages, cost: vec![0.0; POINTS], lines: Vec::with_capacity(POINTS), front: 0 }
    }

    fn push(&mut self, point: usize) {
        while let [.., before, middle] = self.lines[self.front..] {
            // The middle line is lowest nowhere if the outer two meet below it.
            let old =
                (self.cost[before] - self.cost[middle]) * (self.ages[middle] - self.ages[point]);
            let new =
                (self.cost[middle] - self.cost[point]) * (self.ages[before] - self.ages[middle]);
            if old > new {
                break;
            }
            self.lines.pop();
        }
        self.lines.push(point);
    }

    fn lowest(&mut self, ended: f64) -> (usize, f64) {
        let value = |point: usize| self.cost[point] - ended * self.ages[point];
        while let [now, then, ..] = self.lines[self.front..]
            && value(then) <= value(now)
        {
            self.front += 1;
        }
        let best = self.lines[self.front];
        (best, value(best))
    }
}

/// No plan makes fewer looks than this on average and still has a chance of being in time.
const FEWEST_LOOKS: f64 = 1.02;

/// The least and the most that one look is taken to be worth, in seconds, unless told. The most
/// keeps a poorly known distribution from being looked at so seldom that it stays poorly known.
const CREDIBLE_WORTH: (f64, f64) = (0.1, 1.25);

/// Halvings of that range: to 2 %.
const HALVINGS: usize = 7;

/// A chance of still running that does not count.
const NEVER: f64 = 1e-6;
