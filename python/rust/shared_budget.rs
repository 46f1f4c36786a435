//! [`SharedBudget`]: the budget of a Python client ([`Money`]): each submission reserves the highest price
//! known, and is refused if that is not left; while no price is known, one task runs and others wait for
//! its cost. The end of a task settles its real cost. `Engine` has one; a `Reservation` (for one
//! submission) and an `Allotment` (for all jobs of a `Many`), both in `reservation.rs`, take money from it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use effects_core::journal::OverBudget;
use effects_core::{Cause, Effect, Error, ErrorKind, TaskId};
use effects_reqwest::Client;
use futures_util::future::{Either, select};
use rust_decimal::Decimal;
use tokio::sync::Notify;

use crate::journal::TaskRows;
use crate::warnings;

/// The money of one client, in USD.
#[derive(Debug)]
pub struct SharedBudget {
    state: Mutex<Money>,
    changed: Notify,
    /// The call that has it follows a task to find out what a task costs.
    price_lookup: tokio::sync::Mutex<()>,
}

/// The limit, what is spent, and what is reserved. A sum that no decimal could hold stays at the largest.
///
/// As in the core's budget, what one costs at most is the highest cost seen, which then counts for
/// all that is reserved. What is reserved for a task stays with its id, so that the first call that
/// sees its end settles it, and no other.
#[derive(Clone, Debug)]
pub struct Money {
    pub limit: Decimal,
    pub spent: Decimal,
    pub price: Option<Decimal>,
    /// What one costs at most by the caller's word: what the service does not say counts as that.
    pub given: GivenPrice,
    /// Attempts of submissions on their way.
    pub under_way: u32,
    /// Attempts of submissions whose cost may never be known.
    pub doubtful: u32,
    /// A completed task came without its cost, so that what is spent is not known.
    pub unreadable: bool,
    /// Tasks whose end was not seen.
    pub tasks: BTreeSet<TaskId>,
    /// Set aside for many jobs.
    pub allotted: Decimal,
    /// Calls for many whose money was set aside without a price, and whose jobs may show one.
    pub seeking: u32,
    /// Those of them of which a job has come.
    pub begun_seeking: u32,
    /// The highest sum above the limit that was warned of.
    pub warned_spent: Decimal,
    /// What to log, once the money is let go of.
    pub warnings: Vec<String>,
}

/// What one picture costs at most by the caller's word, and the highest cost above it that was warned of.
#[derive(Clone, Copy, Debug, Default)]
pub struct GivenPrice {
    pub price: Option<Decimal>,
    warned_cost: Option<Decimal>,
}

impl GivenPrice {
    pub fn of(price: Option<Decimal>) -> Self {
        Self { price, warned_cost: None }
    }

    /// The price, where a picture cost more than that and than every cost warned of before.
    pub fn exceeded_by(&mut self, cost: Decimal) -> Option<Decimal> {
        let price = self.price.filter(|price| cost > *price && Some(cost) > self.warned_cost)?;
        self.warned_cost = Some(cost);
        Some(price)
    }
}

/// Whether a submission may leave.
enum BudgetAnswer {
    /// Yes, and its price is reserved.
    Granted,
    /// Not before the cost of what is under way is known.
    NotYet,
    /// Not before the cost of this task is known; perhaps no call is watching it.
    After(TaskId),
}

impl Money {
    /// A budget of which nothing is spent, and what one picture costs at most, where the caller says so.
    pub fn of(limit: Decimal, given: Option<Decimal>) -> Self {
        Self {
            limit,
            spent: Decimal::ZERO,
            price: given,
            given: GivenPrice::of(given),
            under_way: 0,
            doubtful: 0,
            unreadable: false,
            tasks: BTreeSet::new(),
            allotted: Decimal::ZERO,
            seeking: 0,
            begun_seeking: 0,
            warned_spent: Decimal::ZERO,
            warnings: Vec::new(),
        }
    }

    /// What may still be reserved.
    fn left(&self) -> Decimal {
        let gone = self.spent.saturating_add(self.allotted).saturating_add(self.reserved());
        self.limit.saturating_sub(gone)
    }

    /// What is reserved for attempts and tasks whose cost is not known yet.
    fn reserved(&self) -> Decimal {
        let open = Decimal::from(self.under_way) + Decimal::from(self.doubtful);
        let open = open + Decimal::from(self.tasks.len());
        open.saturating_mul(self.price.unwrap_or_default())
    }

    /// Reserves for one more attempt of a submission whose earlier ones may have made a task each; or
    /// says why it may not leave. While no price is known, what they cost is not known.
    fn admit_repeat(&mut self) -> Result<(), OverBudget> {
        let Some(price) = self.price.filter(|_| !self.unreadable) else {
            let open = self.under_way + self.doubtful;
            return Err(OverBudget::PriceUnknown { open: open.into() });
        };
        if price > self.left() {
            let reserved = self.reserved().saturating_add(self.allotted);
            let (limit, paid) = (self.limit, self.spent);
            return Err(OverBudget::Exceeded { limit, paid, reserved, price });
        }
        self.under_way += 1;
        Ok(())
    }

    fn admit(&mut self) -> Result<BudgetAnswer, Error> {
        if self.unreadable {
            return Err(self.cost_unreadable());
        }
        let left = self.left();
        match self.price {
            Some(price) if price > left => return Err(self.exceeded(left)),
            Some(_) => {}
            None if left <= Decimal::ZERO => return Err(self.exceeded(left)),
            None => {
                if let Some(wait) = self.price_wait(self.begun_seeking)? {
                    return Ok(wait);
                }
            }
        }
        self.under_way += 1;
        Ok(BudgetAnswer::Granted)
    }

    /// What shows what one costs, while no price is known: one task finds it out, or one of so many calls for
    /// many that seek it. `None` where the next submission does.
    fn price_wait(&self, seeking: u32) -> Result<Option<BudgetAnswer>, Error> {
        if self.price.is_some() {
            return Ok(None);
        }
        if self.under_way > 0 || seeking > 0 {
            return Ok(Some(BudgetAnswer::NotYet));
        }
        // It may have cost anything, so that what is left is not known.
        if self.doubtful > 0 {
            return Err(self.unknown());
        }
        Ok(self.tasks.first().cloned().map(BudgetAnswer::After))
    }

    pub fn spend(&mut self, cost: Decimal) {
        self.spent = self.spent.saturating_add(cost);
        if cost > self.price.unwrap_or_default() {
            self.price = Some(cost);
        }
        if let Some(price) = self.given.exceeded_by(cost) {
            self.warnings.push(format!(
                "a picture cost {cost} USD, more than the client's price={price}: {REPRICED}"
            ));
        }
    }

    /// Warns where more is spent than the budget, and again only where the sum has grown since.
    pub fn check_limit(&mut self) {
        let (spent, limit) = (self.spent, self.limit);
        if spent > limit.max(self.warned_spent) {
            self.warned_spent = spent;
            self.warnings.push(format!(
                "this client's pictures cost {spent} USD, more than its budget of {limit} USD: \
                 {WHY_OVER}"
            ));
        }
    }

    fn exceeded(&self, left: Decimal) -> Error {
        let price = self.price.map(|price| format!(" and a picture costs {price}"));
        let (limit, price) = (self.limit, price.unwrap_or_default());
        let held =
            self.set_aside(Decimal::ZERO).map(|held| format!("; {held}")).unwrap_or_default();
        let message = format!(
            "the client's budget of {limit} USD would be exceeded: {left} USD are left{price}{held}; \
             nothing was sent"
        );
        Error::new(ErrorKind::BudgetExceeded, message)
    }

    /// What calls for many hold, other than the one that holds this, and how it comes back.
    fn set_aside(&self, own: Decimal) -> Option<String> {
        let others = self.allotted - own;
        (others > Decimal::ZERO).then(|| {
            format!(
                "{others} USD are set aside for calls of map or as_completed whose results are not all \
                 taken: take the rest, or close() the results, or aclose() those of an async client"
            )
        })
    }

    fn cost_unreadable(&self) -> Error {
        let limit = self.limit;
        let message = format!(
            "the service did not say what a completed task cost, so the client's budget of {limit} \
             USD cannot be kept; nothing was sent: go on with map(budget=…, price=…), or with a client that has a price="
        );
        Error::new(ErrorKind::BudgetExceeded, message)
    }

    fn unknown(&self) -> Error {
        let limit = self.limit;
        let message = format!(
            "what a picture costs is not known, and a submission of unknown fate may have used the \
             client's budget of {limit} USD up; nothing was sent: find out, and go on with another \
             client that has what is left"
        );
        Error::new(ErrorKind::BudgetExceeded, message)
    }

    /// The same money in another process, which counts for itself: what may be billed here counts as
    /// spent there, and what is set aside for many jobs is theirs here.
    fn for_other_process(&self) -> Self {
        Self {
            spent: self.spent.saturating_add(self.allotted),
            allotted: Decimal::ZERO,
            seeking: 0,
            begun_seeking: 0,
            doubtful: self.doubtful + self.under_way,
            under_way: 0,
            ..self.clone()
        }
    }
}

impl SharedBudget {
    pub fn of(money: Money) -> Arc<Self> {
        let price_lookup = tokio::sync::Mutex::new(());
        Arc::new(Self { state: Mutex::new(money), changed: Notify::new(), price_lookup })
    }

    /// Reserves for one submission: [`Reservation`](crate::reservation::Reservation) holds it. While no
    /// price is known, one runs until its cost is seen; `client` looks for that where perhaps no other
    /// call is looking.
    pub async fn reserve(&self, client: &Client, rows: Option<&TaskRows>) -> Result<(), Error> {
        loop {
            // Made before the money is looked at: a change in between wakes it.
            let changed = self.changed.notified();
            let admission = self.state().admit()?;
            match admission {
                BudgetAnswer::Granted => return Ok(()),
                BudgetAnswer::NotYet => changed.await,
                BudgetAnswer::After(task) => self.follow_to_end(client, rows, &task).await?,
            }
        }
    }

    /// Reserves for one more attempt of a submission, without a wait.
    pub fn reserve_repeat(&self) -> Result<(), OverBudget> {
        self.state().admit_repeat()
    }

    /// Sets everything that is left aside for many jobs, or `most` of it:
    /// [`Allotment`](crate::reservation::Allotment) holds it. `price` is what one costs at most by the
    /// caller's word, `known` what is known from elsewhere. Returns the sum, that price, and whether no price
    /// is known, so that the jobs are counted as seeking one. `None` where what is under way has to show it
    /// first: [`find_price`](Self::find_price), and try again.
    pub fn allot(
        &self,
        most: Option<Decimal>,
        price: Option<Decimal>,
        known: Option<Decimal>,
    ) -> Result<Option<(Decimal, Option<Decimal>, bool)>, Error> {
        let mut state = self.state();
        let price = price.or(state.given.price);
        if state.unreadable && price.is_none() {
            return Err(state.cost_unreadable());
        }
        // `None` is less than any price.
        state.price = state.price.max(price.or(known));
        let left = state.left().max(Decimal::ZERO);
        // Where nothing is left, no price makes it more.
        if left > Decimal::ZERO && state.price_wait(state.seeking)?.is_some() {
            return Ok(None);
        }
        let amount = most.map_or(left, |most| most.min(left));
        // Too little for one more is nothing: the first job would find its price out by paying it.
        let is_enough = state.price.is_none_or(|price| price <= amount);
        let amount = if is_enough { amount } else { Decimal::ZERO };
        state.allotted += amount;
        let seeks = state.price.is_none() && amount > Decimal::ZERO;
        state.seeking += u32::from(seeks);
        drop(state);
        Ok(Some((amount, price, seeks)))
    }

    /// Waits until what is under way has shown what one costs, or nothing is left that could.
    pub async fn find_price(&self, client: &Client, rows: Option<&TaskRows>) -> Result<(), Error> {
        loop {
            // Made before the money is looked at: a change in between wakes it.
            let changed = self.changed.notified();
            let wait = {
                let state = self.state();
                state.price_wait(state.seeking)?
            };
            match wait {
                Some(BudgetAnswer::After(task)) => self.follow_to_end(client, rows, &task).await?,
                Some(_) => changed.await,
                None => return Ok(()),
            }
        }
    }

    /// Follows a task of this budget until its end was seen, here or by another run; what is seen here,
    /// `rows` records.
    async fn follow_to_end(
        &self,
        client: &Client,
        rows: Option<&TaskRows>,
        task: &TaskId,
    ) -> Result<(), Error> {
        let _lookup = self.price_lookup.lock().await;
        loop {
            // Another call may see the task's end first; then the cost is known without this wait.
            let changed = std::pin::pin!(self.changed.notified());
            if !self.state().tasks.contains(task) {
                return Ok(());
            }
            let followed = client.task(task.clone());
            let wait = std::pin::pin!(followed.wait());
            if let Either::Left((result, _)) = select(wait, changed).await {
                self.settle_task(task, &result);
                if let Some(rows) = rows {
                    rows.settle(task, &result).await;
                }
                if self.state().tasks.contains(task) {
                    return Err(price_unknown_error(task, &result));
                }
            }
        }
    }

    /// What calls for many hold, other than the one that holds this.
    pub fn set_aside(&self, own: Decimal) -> Option<String> {
        self.state().set_aside(own)
    }

    /// What one is taken to cost.
    pub fn price(&self) -> Option<Decimal> {
        self.state().price
    }

    /// A run ended. If its task is one of this budget and this is its end, it is settled.
    pub fn settle_task(&self, task: &TaskId, result: &Result<Effect, Error>) {
        let price = self.price();
        if let Some(cost) = cost(result, price) {
            let unreadable = result.as_ref().is_ok_and(|effect| effect.usage.cost.is_none());
            self.settle_cost(task, cost, unreadable);
        }
    }

    fn settle_cost(&self, task: &TaskId, cost: Decimal, unreadable: bool) {
        self.change(|state| {
            if state.tasks.remove(task) {
                state.unreadable |= unreadable && state.given.price.is_none();
                state.spend(cost);
                state.check_limit();
            }
        });
    }

    /// What is left, for another process that counts for itself.
    pub fn for_other_process(&self) -> Money {
        self.state().for_other_process()
    }

    /// What is left, for a process that is a fork of this one's.
    pub fn forked(&self) -> Money {
        match self.state.try_lock() {
            Ok(state) => state.for_other_process(),
            Err(TryLockError::Poisoned(state)) => state.into_inner().for_other_process(),
            // The thread that was at it is not here and never lets go of it; what it was about to
            // write is not known, and no money is better than another's.
            Err(TryLockError::WouldBlock) => Money::of(Decimal::ZERO, None),
        }
    }

    pub fn change(&self, change: impl FnOnce(&mut Money)) {
        let mut state = self.state();
        change(&mut state);
        let warnings = std::mem::take(&mut state.warnings);
        drop(state);
        self.changed.notify_waiters();
        // Outside the lock: a handler of `logging` may use this client.
        warnings.into_iter().for_each(warnings::queue_warning);
    }

    fn state(&self) -> MutexGuard<'_, Money> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a run that ended so cost; `None` if that may still come. What was not billed openly is taken
/// to have cost what was expected, but of a failed task: where no bill came, none is assumed.
pub fn cost(result: &Result<Effect, Error>, price: Option<Decimal>) -> Option<Decimal> {
    match result {
        Ok(effect) => Some(effect.usage.cost.or(price).unwrap_or_default()),
        Err(error) => match error.cause() {
            Cause::Failed(failed) => {
                Some(failed.usage.as_ref().and_then(|usage| usage.cost).unwrap_or_default())
            }
            _ => None,
        },
    }
}

fn price_unknown_error(task: &TaskId, result: &Result<Effect, Error>) -> Error {
    let why = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let message = format!(
        "what a picture costs is not known, and task {task}, which would tell, was not seen to end \
         ({why}); nothing was sent"
    );
    Error::new(ErrorKind::BudgetExceeded, message)
}

/// What follows from a cost above the given price.
pub const REPRICED: &str = "from now on so much is reserved for each";
/// How more can be spent than a budget.
pub const WHY_OVER: &str = "the price rose while tasks were under way, or price= was too low";
