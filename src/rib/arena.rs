//! Paged memory for millions of small things: slots of a few sizes inside pages of a few kilobytes.
//!
//! A vector that doubles holds old and new copy at once and never gives anything back; one allocation per thing
//! costs a header and a pointer each. Here a slot is named by a `u32`, a page is allocated when the pages of its
//! size class are full and given back when its last slot is free, and what was freed is used again first.
//! What the slots mean is the owner's business.

/// Octets of a page at most, unless one slot alone needs more.
const PAGE_OCTETS: usize = 16 * 1024;
/// Slots of a page at most: the low 8 bits of a handle.
const PAGE_SLOTS: usize = 256;
/// Class of a page that holds one slot of exactly the length asked for.
const OWN_PAGE: u8 = u8::MAX;
/// End of a list of pages.
const NO_PAGE: u32 = u32::MAX;

/// A handle: page number in the high 24 bits, slot in the low 8. 2^24 pages are more than 64 GiB of slots.
pub(crate) type Slot = u32;

/// The slots. `T` is copied when a slot moves, so it is plain data.
#[derive(Debug)]
pub(crate) struct SlotArena<T> {
    pages: Vec<Page<T>>,
    books: Vec<Book>,
    classes: Vec<Class>,
    /// Class by length, for lengths up to the largest class.
    class_by_len: Vec<u8>,
    /// Page numbers without a page, chained through `Book::next`.
    vacant: u32,
    octets: usize,
}

/// What every access reads.
#[derive(Debug)]
struct Page<T> {
    data: Box<[T]>,
    slot_len: u32,
}

/// What only allocation reads.
#[derive(Debug)]
struct Book {
    /// One bit per slot in use.
    used: [u64; PAGE_SLOTS / 64],
    /// Neighbours in the list of pages of the class that have a free slot.
    prev: u32,
    next: u32,
    live: u16,
    class: u8,
}

#[derive(Debug)]
struct Class {
    slot_len: u32,
    slots: u16,
    /// First page with a free slot.
    open: u32,
}

impl<T: Copy + Default> SlotArena<T> {
    /// An arena whose slots hold as many `T` as one of `lens` (ascending) says; longer ones get their own page.
    pub(crate) fn new(lens: &[u16]) -> Self {
        let slots_of = |len: u16| (PAGE_OCTETS / (usize::from(len) * size_of::<T>())).clamp(1, PAGE_SLOTS);
        let classes = lens
            .iter()
            .map(|&len| Class { slot_len: len.into(), slots: slots_of(len) as u16, open: NO_PAGE })
            .collect::<Vec<_>>();
        let longest = lens.last().map_or(0, |&len| usize::from(len));
        let class_by_len = (0..=longest).map(|len| lens.partition_point(|&l| usize::from(l) < len) as u8).collect();
        Self { pages: Vec::new(), books: Vec::new(), classes, class_by_len, vacant: NO_PAGE, octets: 0 }
    }

    /// Takes a slot that holds at least `len` values. Its content is what the last user left, or default values.
    pub(crate) fn alloc(&mut self, len: usize) -> Slot {
        let Some(&class) = self.class_by_len.get(len) else {
            let page = self.open_page(OWN_PAGE, len, 1);
            self.books[page as usize].used[0] = 1;
            self.books[page as usize].live = 1;
            return page << 8;
        };
        let Class { slot_len, slots, open } = self.classes[usize::from(class)];
        let page = if open == NO_PAGE {
            let page = self.open_page(class, slot_len as usize, slots.into());
            self.link(page);
            page
        } else {
            open
        };
        let book = &mut self.books[page as usize];
        let word = book.used.iter().position(|&word| word != u64::MAX).unwrap_or(0);
        let bit = book.used[word].trailing_ones();
        book.used[word] |= 1 << bit;
        book.live += 1;
        if book.live == slots {
            self.unlink(page);
        }
        page << 8 | (word as u32) << 6 | bit
    }

    /// Gives a slot back. The page goes too if this was its last one and its class has another page to go on with.
    pub(crate) fn free(&mut self, slot: Slot) {
        let page = slot >> 8;
        let (word, bit) = ((slot >> 6 & 3) as usize, slot & 63);
        let book = &mut self.books[page as usize];
        assert!(book.used[word] & 1 << bit != 0, "a slot is freed once");
        book.used[word] &= !(1 << bit);
        book.live -= 1;
        let (live, class) = (book.live, book.class);
        if class == OWN_PAGE {
            self.close_page(page);
            return;
        }
        if live + 1 == self.classes[usize::from(class)].slots {
            self.link(page);
        }
        let book = &self.books[page as usize];
        if live == 0 && (book.prev != NO_PAGE || book.next != NO_PAGE) {
            self.unlink(page);
            self.close_page(page);
        }
    }

    /// The values of a slot: all that fit, whatever length was asked for.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> &[T] {
        let page = &self.pages[(slot >> 8) as usize];
        let at = (slot & 255) as usize * page.slot_len as usize;
        &page.data[at..at + page.slot_len as usize]
    }

    /// As `get`, to be written.
    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut [T] {
        let page = &mut self.pages[(slot >> 8) as usize];
        let at = (slot & 255) as usize * page.slot_len as usize;
        &mut page.data[at..at + page.slot_len as usize]
    }

    /// The first value of a slot, for arenas of single values.
    #[inline]
    pub(crate) fn one(&self, slot: Slot) -> &T {
        let page = &self.pages[(slot >> 8) as usize];
        &page.data[(slot & 255) as usize * page.slot_len as usize]
    }

    /// As `one`, to be written.
    #[inline]
    pub(crate) fn one_mut(&mut self, slot: Slot) -> &mut T {
        let page = &mut self.pages[(slot >> 8) as usize];
        &mut page.data[(slot & 255) as usize * page.slot_len as usize]
    }

    /// Copies the first `len` values of one slot to another.
    pub(crate) fn copy(&mut self, from: Slot, to: Slot, len: usize) {
        let (from_page, to_page) = ((from >> 8) as usize, (to >> 8) as usize);
        let from_at = (from & 255) as usize * self.pages[from_page].slot_len as usize;
        let to_at = (to & 255) as usize * self.pages[to_page].slot_len as usize;
        if let Ok([source, target]) = self.pages.get_disjoint_mut([from_page, to_page]) {
            target.data[to_at..to_at + len].copy_from_slice(&source.data[from_at..from_at + len]);
        } else {
            self.pages[from_page].data.copy_within(from_at..from_at + len, to_at);
        }
    }

    /// Whether the page of this slot was given back.
    pub(crate) fn page_is_closed(&self, slot: Slot) -> bool {
        self.pages.get((slot >> 8) as usize).is_none_or(|page| page.data.is_empty())
    }

    /// Octets allocated: pages and their books.
    pub(crate) fn octets(&self) -> usize {
        self.octets + self.pages.capacity() * size_of::<Page<T>>() + self.books.capacity() * size_of::<Book>()
    }

    fn open_page(&mut self, class: u8, slot_len: usize, slots: usize) -> u32 {
        let data = vec![T::default(); slot_len * slots].into_boxed_slice();
        self.octets += size_of_val(&*data);
        let page = Page { data, slot_len: slot_len as u32 };
        let book = Book { used: [0; PAGE_SLOTS / 64], prev: NO_PAGE, next: NO_PAGE, live: 0, class };
        if self.vacant == NO_PAGE {
            let number = self.pages.len() as u32;
            assert!(number < 1 << 24, "an arena has at most 2^24 pages");
            self.pages.push(page);
            self.books.push(book);
            return number;
        }
        let number = self.vacant;
        self.vacant = self.books[number as usize].next;
        self.pages[number as usize] = page;
        self.books[number as usize] = book;
        number
    }

    fn close_page(&mut self, number: u32) {
        let page = &mut self.pages[number as usize];
        self.octets -= size_of_val(&*page.data);
        page.data = Box::default();
        self.books[number as usize].next = self.vacant;
        self.vacant = number;
    }

    /// Puts a page at the head of its class's list of pages with room.
    fn link(&mut self, page: u32) {
        let class = &mut self.classes[usize::from(self.books[page as usize].class)];
        let next = std::mem::replace(&mut class.open, page);
        if next != NO_PAGE {
            self.books[next as usize].prev = page;
        }
        let book = &mut self.books[page as usize];
        (book.prev, book.next) = (NO_PAGE, next);
    }

    fn unlink(&mut self, page: u32) {
        let book = &mut self.books[page as usize];
        let (prev, next) = (book.prev, book.next);
        (book.prev, book.next) = (NO_PAGE, NO_PAGE);
        if prev == NO_PAGE {
            let class = usize::from(self.books[page as usize].class);
            self.classes[class].open = next;
        } else {
            self.books[prev as usize].next = next;
        }
        if next != NO_PAGE {
            self.books[next as usize].prev = prev;
        }
    }
}

/// An array indexed by a dense `u32` that exists only where something was written.
#[derive(Debug)]
pub(crate) struct PagedArray<T> {
    pages: Vec<Box<[T]>>,
    octets: usize,
}

impl<T> Default for PagedArray<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), octets: 0 }
    }
}

impl<T: Copy + Default> PagedArray<T> {
    /// The value at `index`; the default where nothing was written.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> T {
        self.pages
            .get((index >> 8) as usize)
            .and_then(|page| page.get((index & 255) as usize))
            .copied()
            .unwrap_or_default()
    }

    /// The value at `index`, to be written.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> &mut T {
        let page = (index >> 8) as usize;
        if self.pages.get(page).is_none_or(|page| page.is_empty()) {
            self.open_page(page);
        }
        &mut self.pages[page][(index & 255) as usize]
    }

    #[cold]
    fn open_page(&mut self, page: usize) {
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, Box::default);
        }
        self.pages[page] = vec![T::default(); PAGE_SLOTS].into_boxed_slice();
        self.octets += PAGE_SLOTS * size_of::<T>();
    }

    /// Forgets the page that holds `index`: all its values are defaults again.
    pub(crate) fn close_page(&mut self, index: u32) {
        if let Some(page) = self.pages.get_mut((index >> 8) as usize)
            && !page.is_empty()
        {
            self.octets -= size_of_val(&**page);
            *page = Box::default();
        }
    }

    /// One behind the highest index that can hold anything.
    pub(crate) fn end(&self) -> u32 {
        (self.pages.len() << 8) as u32
    }

    /// Octets allocated.
    pub(crate) fn octets(&self) -> usize {
        self.octets + self.pages.capacity() * size_of::<Box<[T]>>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Alloc(usize),
        Free(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let len = prop_oneof![8 => 1usize..40, 1 => 40usize..600];
        prop_oneof![3 => len.prop_map(Op::Alloc), 2 => any::<usize>().prop_map(Op::Free)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Every slot keeps what was written to it, whatever happens to others, and no two slots overlap.
        #[test]
        fn slots_keep_their_content(ops in prop::collection::vec(op(), 1..800)) {
            let mut arena = SlotArena::<u16>::new(&[1, 2, 4, 8, 24, 100]);
            let mut model: BTreeMap<Slot, Vec<u16>> = BTreeMap::new();
            for (stamp, op) in (0u16..).zip(ops) {
                match op {
                    Op::Alloc(len) => {
                        let slot = arena.alloc(len);
                        prop_assert!(arena.get(slot).len() >= len);
                        let content: Vec<u16> = (0..len as u16).map(|n| stamp ^ n << 10).collect();
                        arena.get_mut(slot)[..len].copy_from_slice(&content);
                        prop_assert_eq!(model.insert(slot, content), None, "a slot is given out once");
                    }
                    Op::Free(which) => {
                        let Some(&slot) = model.keys().nth(which % model.len().max(1)) else { continue };
                        model.remove(&slot);
                        arena.free(slot);
                    }
                }
                for (&slot, content) in &model {
                    prop_assert_eq!(&arena.get(slot)[..content.len()], &content[..]);
                }
            }
        }
    }

    #[test]
    fn memory_comes_back_when_slots_are_freed_and_churn_does_not_grow_it() {
        let mut arena = SlotArena::<u64>::new(&[1, 4]);
        let empty = arena.octets();
        let mut slots: Vec<Slot> = (0..10_000).map(|n| arena.alloc(1 + n % 4)).collect();
        let full = arena.octets();
        for round in 0..5 {
            for slot in slots.iter_mut().skip(round).step_by(5) {
                arena.free(*slot);
                *slot = arena.alloc(4);
            }
        }
        let churned = arena.octets();
        slots.into_iter().for_each(|slot| arena.free(slot));
        let books = 700 * (size_of::<Page<u64>>() + size_of::<Book>());
        assert!(full > 200_000 && churned > 320_000 && churned < 400_000, "{full} {churned}");
        assert!(arena.octets() < empty + 2 * PAGE_OCTETS + books, "{}", arena.octets());
    }

    #[test]
    fn a_length_above_all_classes_has_a_page_of_its_own_that_goes_when_it_is_freed() {
        let mut arena = SlotArena::<u8>::new(&[16]);
        let slot = arena.alloc(100_000);
        assert_eq!(arena.get(slot).len(), 100_000);
        arena.free(slot);
        assert!(arena.page_is_closed(slot));
        assert!(arena.octets() < 1000);
    }

    #[test]
    fn a_copy_goes_between_pages_and_inside_one() {
        let mut arena = SlotArena::<u8>::new(&[4, 8]);
        let (a, b, c) = (arena.alloc(4), arena.alloc(4), arena.alloc(8));
        arena.get_mut(a).copy_from_slice(&[1, 2, 3, 4]);
        arena.copy(a, b, 4);
        arena.copy(b, c, 3);
        assert_eq!((arena.get(b), &arena.get(c)[..4]), (&[1, 2, 3, 4][..], &[1, 2, 3, 0][..]));
    }

    #[test]
    fn a_paged_array_is_default_where_nothing_was_written() {
        let mut array = PagedArray::<u32>::default();
        *array.get_mut(1000) = 7;
        assert_eq!([array.get(0), array.get(1000), array.get(1001), array.get(1 << 30)], [0, 7, 0, 0]);
        assert_eq!(array.end(), 1024);
        array.close_page(1000);
        array.close_page(u32::MAX);
        assert_eq!(array.get(1000), 0);
    }
}
