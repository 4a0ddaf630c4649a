//! A body that is an array of entries, checked item by item: what is held beside
//! the body is a few bytes for each item, and never all of them parsed.

use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::body::NotJson;
use super::schema::MAX_VIOLATIONS;
use super::{Admit, Admitted, Identity, Inadmissible, Violation};

/// Items that are made at a time, and bytes of their bodies.
const SLICE: usize = 8192;
const SLICE_BYTES: usize = 1 << 20;

/// An array of entries that was checked whole; what is made of them comes in
/// slices.
pub struct Batch<T> {
    body: Bytes,
    items: Vec<Item>,
    /// Items that were handed out.
    taken: usize,
    /// What was made while they were checked, where they are few.
    made: Option<Vec<T>>,
}

/// Where an item lies in the body.
#[derive(Clone, Copy, Debug)]
struct Item {
    at: u32,
    length: u32,
}

impl Admit {
    /// Checks an array of entries whole: one bad item refuses all of it.
    /// `make` makes of each what [`Batch::next`] hands out.
    ///
    /// # Errors
    /// With the index of each bad item, at most 20 violations in all.
    pub fn check_batch<T>(
        &self,
        body: &Bytes,
        make: impl Fn(Admitted) -> T,
    ) -> Result<Batch<T>, Inadmissible> {
        let mut checking = Checking {
            admit: self,
            body,
            make,
            hasher: RandomState::new(),
            items: Vec::new(),
            ids: Vec::new(),
            made: Some(Vec::new()),
            violations: Vec::new(),
            not_json: None,
            index: 0,
        };
        for_each_item(body, |item| checking.check(item)).map_err(not_an_array)?;
        checking.whole()
    }

    fn item(&self, body: &Bytes, item: Item) -> Result<Admitted, Inadmissible> {
        let at = item.at as usize;
        self.admit(body.slice(at..at + item.length as usize))
    }
}

impl<T> Batch<T> {
    /// Returns how many items it has.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the next slice is there, and need not be made.
    pub fn is_made(&self) -> bool {
        self.made.is_some()
    }

    /// Returns what is made of the next items; nothing at the end.
    ///
    /// # Errors
    /// None that were not found when it was checked.
    pub fn next(
        &mut self,
        admit: &Admit,
        make: impl Fn(Admitted) -> T,
    ) -> Result<Vec<T>, Inadmissible> {
        if let Some(made) = self.made.take() {
            self.taken = self.items.len();
            return Ok(made);
        }
        let mut bytes = 0;
        let mut made = Vec::new();
        for item in self.items[self.taken..].iter().take(SLICE) {
            if bytes >= SLICE_BYTES {
                break;
            }
            bytes += item.length as usize;
            made.push(make(admit.item(&self.body, *item)?));
        }
        self.taken += made.len();
        Ok(made)
    }
}

/// A batch while it is checked.
struct Checking<'b, T, M> {
    admit: &'b Admit,
    body: &'b Bytes,
    make: M,
    hasher: RandomState,
    items: Vec<Item>,
    /// Hashes of the ids, with the indices of their items.
    ids: Vec<(u64, u32)>,
    made: Option<Vec<T>>,
    violations: Vec<Violation>,
    not_json: Option<Inadmissible>,
    index: usize,
}

impl<T, M: Fn(Admitted) -> T> Checking<'_, T, M> {
    fn check(&mut self, item: &RawValue) {
        let index = self.index;
        self.index += 1;
        if self.not_json.is_some() || self.violations.len() >= MAX_VIOLATIONS {
            // Only whether the rest is JSON is still to be seen.
            return;
        }
        let text = item.get();
        match self.admit.admit(self.body.slice_ref(text.as_bytes())) {
            Ok(admitted) => self.take(index, text, admitted),
            Err(Inadmissible::Invalid(found)) => {
                let of_item = found.into_iter().map(|violation| violation.of_item(index));
                self.violations.extend(of_item);
            }
            Err(Inadmissible::NotJson(error) | Inadmissible::ItemNotJson { error, .. }) => {
                self.not_json = Some(Inadmissible::ItemNotJson { index, error });
            }
        }
    }

    fn take(&mut self, index: usize, text: &str, admitted: Admitted) {
        if let Some(id) = &admitted.id {
            self.ids.push((self.hasher.hash_one(id), index as u32));
        }
        // A body has at most 16 MiB.
        self.items.push(Item {
            at: (text.as_ptr() as usize - self.body.as_ptr() as usize) as u32,
            length: text.len() as u32,
        });
        let few = self.items.len() <= SLICE && self.body.len() <= SLICE_BYTES;
        match &mut self.made {
            Some(made) if few => made.push((self.make)(admitted)),
            made => *made = None,
        }
    }

    fn whole(mut self) -> Result<Batch<T>, Inadmissible> {
        if let Some(error) = self.not_json {
            return Err(error);
        }
        if self.violations.is_empty() {
            self.violations = self.told_apart()?;
        }
        if !self.violations.is_empty() {
            self.violations.truncate(MAX_VIOLATIONS);
            return Err(Inadmissible::Invalid(self.violations));
        }
        Ok(Batch {
            body: self.body.clone(),
            items: self.items,
            taken: 0,
            made: self.made,
        })
    }

    /// Finds items with the id of an earlier one and another body.
    fn told_apart(&mut self) -> Result<Vec<Violation>, Inadmissible> {
        let Identity::Field(pointer) = &self.admit.id else {
            return Ok(Vec::new());
        };
        self.ids.sort_unstable();
        let mut clashes = Vec::new();
        for same in self.ids.chunk_by(|one, other| one.0 == other.0) {
            let [(_, first), others @ ..] = same else {
                continue;
            };
            if others.is_empty() {
                continue;
            }
            let read = |index: u32| self.admit.item(self.body, self.items[index as usize]);
            let earlier = read(*first)?;
            for (_, index) in others {
                let item = read(*index)?;
                if item.id == earlier.id && item.body != earlier.body {
                    clashes.push((*index, *first));
                }
            }
            if clashes.len() > MAX_VIOLATIONS {
                break;
            }
        }
        clashes.sort_unstable();
        let violation = |(index, first): (u32, u32)| Violation {
            index: Some(index as usize),
            pointer: pointer.to_string(),
            message: format!("it is the id of item {first} too, which has another body"),
        };
        Ok(clashes.into_iter().map(violation).collect())
    }
}

/// Calls `each` with the text of each item, and holds none of them.
fn for_each_item<'de>(
    body: &'de [u8],
    each: impl FnMut(&'de RawValue),
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let items = Items(each, PhantomData);
    json.deserialize_seq(items)?;
    json.end()
}

struct Items<'de, F>(F, PhantomData<&'de RawValue>);

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Items<'de, F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(item) = seq.next_element::<&RawValue>()? {
            (self.0)(item);
        }
        Ok(())
    }
}

fn not_an_array(error: serde_json::Error) -> Inadmissible {
    match error.classify() {
        serde_json::error::Category::Data => Inadmissible::Invalid(vec![Violation {
            index: None,
            pointer: String::new(),
            message: "it is not an array of entries".to_owned(),
        }]),
        _ => Inadmissible::NotJson(NotJson::from(error)),
    }
}
