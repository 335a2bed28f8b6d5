//! Paged memory for millions of small things: slots of a few lengths inside pages, pages inside chunks.
//!
//! A vector that doubles holds old and new copy at once and never gives anything back; one allocation per thing
//! costs a header and a pointer each. Here a slot is named by a `u32`. A page holds slots of one length; all pages of
//! an arena have one size, so a page that is empty serves slots of any length next. Pages are cut from chunks large
//! enough that the allocator below loses nothing to rounding; the lowest chunk with a vacant page is used first, so that
//! the highest become empty and are given back. What the slots mean is the owner's business.

use std::collections::BTreeSet;

/// Low bits of a handle: the slot inside its page.
const SLOT_BITS: u32 = 9;
const PAGE_SLOTS: usize = 1 << SLOT_BITS;
/// Handles with this bit name a slot that has an allocation of its own, for lengths above all classes.
const ALONE: u32 = 1 << 31;
/// Octets of a chunk, roughly: large enough for the allocator, small against the smallest RIB worth measuring.
const CHUNK_OCTETS: usize = 128 * 1024;
/// End of a list of pages.
const NO_PAGE: u32 = u32::MAX;

/// A handle: page number above `SLOT_BITS`, slot below. 2^22 pages of 8 KiB are 32 GiB.
pub(crate) type Slot = u32;

/// The slots. `T` is copied when a slot moves, so it is plain data.
#[derive(Debug)]
pub(crate) struct SlotArena<T> {
    chunks: Vec<Chunk<T>>,
    /// Length of the slots of each page.
    slot_lens: Vec<u16>,
    books: Vec<Book>,
    classes: Vec<Class>,
    /// Class by length, for lengths up to the largest class.
    class_by_len: Vec<u8>,
    /// Values in a page, and how many pages are in a chunk, as a power of two.
    page_len: usize,
    chunk_bits: u32,
    /// Chunks with memory and a vacant page.
    roomy: BTreeSet<u32>,
    /// Chunks without memory.
    absent: Vec<u32>,
    alone: Vec<Box<[T]>>,
    alone_vacant: Vec<u32>,
    octets: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    data: Box<[T]>,
    /// One bit per vacant page.
    vacant: u32,
}

/// What only allocation reads of a page.
#[derive(Clone, Debug)]
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
    slot_len: u16,
    slots: u16,
    /// First page with a free slot.
    open: u32,
}

impl<T: Copy + Default> SlotArena<T> {
    /// An arena whose slots hold as many `T` as one of `lens` (ascending) says, in pages of `page_len` values; a longer
    /// slot gets an allocation of its own.
    pub(crate) fn new(lens: &[u16], page_len: usize) -> Self {
        let slots = |len: u16| (page_len / usize::from(len)).clamp(1, PAGE_SLOTS) as u16;
        let longest = lens.last().map_or(0, |&len| usize::from(len));
        assert!(longest <= page_len, "every class fits a page");
        let pages = (CHUNK_OCTETS / (page_len * size_of::<T>())).clamp(1, 32);
        Self {
            chunks: Vec::new(),
            slot_lens: Vec::new(),
            books: Vec::new(),
            classes: lens.iter().map(|&len| Class { slot_len: len, slots: slots(len), open: NO_PAGE }).collect(),
            class_by_len: (0..=longest).map(|len| lens.partition_point(|&l| usize::from(l) < len) as u8).collect(),
            page_len,
            chunk_bits: pages.ilog2(),
            roomy: BTreeSet::new(),
            absent: Vec::new(),
            alone: Vec::new(),
            alone_vacant: Vec::new(),
            octets: 0,
        }
    }

    /// An arena of single values.
    pub(crate) fn of_values(page_len: usize) -> Self {
        Self::new(&[1], page_len)
    }

    /// Takes a slot that holds at least `len` values. Its content is what the last user left, or default values.
    pub(crate) fn alloc(&mut self, len: usize) -> Slot {
        let Some(&class) = self.class_by_len.get(len) else { return self.alloc_alone(len) };
        let Class { slots, open, .. } = self.classes[usize::from(class)];
        let page = if open == NO_PAGE { self.open_page(class) } else { open };
        let book = &mut self.books[page as usize];
        let word = book.used.iter().position(|&word| word != u64::MAX).unwrap_or(0);
        let bit = book.used[word].trailing_ones();
        book.used[word] |= 1 << bit;
        book.live += 1;
        if book.live == slots {
            self.unlink(page);
        }
        page << SLOT_BITS | (word as u32) << 6 | bit
    }

    /// Gives a slot back. The page goes too if this was its last one and its class has another page to go on with.
    pub(crate) fn free(&mut self, slot: Slot) {
        if slot & ALONE != 0 {
            let freed = std::mem::take(&mut self.alone[(slot & !ALONE) as usize]);
            assert!(!freed.is_empty(), "a slot is freed once");
            self.octets -= size_of_val(&*freed);
            self.alone_vacant.push(slot & !ALONE);
            return;
        }
        let page = slot >> SLOT_BITS;
        let (word, bit) = ((slot >> 6) as usize % (PAGE_SLOTS / 64), slot & 63);
        let book = &mut self.books[page as usize];
        assert!(book.used[word] & 1 << bit != 0, "a slot is freed once");
        book.used[word] &= !(1 << bit);
        book.live -= 1;
        let (live, class) = (book.live, book.class);
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
        if slot & ALONE != 0 {
            return &self.alone[(slot & !ALONE) as usize];
        }
        let (chunk, at, len) = self.place(slot);
        &self.chunks[chunk].data[at..at + len]
    }

    /// As `get`, to be written.
    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut [T] {
        if slot & ALONE != 0 {
            return &mut self.alone[(slot & !ALONE) as usize];
        }
        let (chunk, at, len) = self.place(slot);
        &mut self.chunks[chunk].data[at..at + len]
    }

    /// The value of a slot, for arenas of single values.
    #[inline]
    pub(crate) fn one(&self, slot: Slot) -> &T {
        let (chunk, at) = self.page_start(slot >> SLOT_BITS);
        &self.chunks[chunk].data[at + slot as usize % PAGE_SLOTS]
    }

    /// As `one`, to be written.
    #[inline]
    pub(crate) fn one_mut(&mut self, slot: Slot) -> &mut T {
        let (chunk, at) = self.page_start(slot >> SLOT_BITS);
        &mut self.chunks[chunk].data[at + slot as usize % PAGE_SLOTS]
    }

    /// Copies the first `len` values of one slot to another.
    pub(crate) fn copy(&mut self, from: Slot, to: Slot, len: usize) {
        if (from | to) & ALONE != 0 {
            let values = self.get(from)[..len].to_vec();
            self.get_mut(to)[..len].copy_from_slice(&values);
            return;
        }
        let ((from, from_at, _), (to, to_at, _)) = (self.place(from), self.place(to));
        if let Ok([source, target]) = self.chunks.get_disjoint_mut([from, to]) {
            target.data[to_at..to_at + len].copy_from_slice(&source.data[from_at..from_at + len]);
        } else {
            self.chunks[from].data.copy_within(from_at..from_at + len, to_at);
        }
    }

    /// Octets allocated: chunks and their books.
    pub(crate) fn octets(&self) -> usize {
        let per_page = size_of::<Book>() + size_of::<u16>();
        self.octets + self.books.capacity() * per_page + self.chunks.capacity() * size_of::<Chunk<T>>()
    }

    #[inline]
    fn page_start(&self, page: u32) -> (usize, usize) {
        let in_chunk = page & ((1 << self.chunk_bits) - 1);
        ((page >> self.chunk_bits) as usize, in_chunk as usize * self.page_len)
    }

    /// Chunk, place in it and length of a slot.
    #[inline]
    fn place(&self, slot: Slot) -> (usize, usize, usize) {
        let len = usize::from(self.slot_lens[(slot >> SLOT_BITS) as usize]);
        let (chunk, at) = self.page_start(slot >> SLOT_BITS);
        (chunk, at + slot as usize % PAGE_SLOTS * len, len)
    }

    #[cold]
    fn alloc_alone(&mut self, len: usize) -> Slot {
        let data = vec![T::default(); len].into_boxed_slice();
        self.octets += size_of_val(&*data);
        let number = self.alone_vacant.pop().unwrap_or(self.alone.len() as u32);
        match self.alone.get_mut(number as usize) {
            Some(place) => *place = data,
            None => self.alone.push(data),
        }
        number | ALONE
    }

    /// Gives a vacant page to a class.
    fn open_page(&mut self, class: u8) -> u32 {
        let chunk = match self.roomy.first() {
            Some(&chunk) => chunk,
            None => self.open_chunk(),
        };
        let vacant = &mut self.chunks[chunk as usize].vacant;
        let page = chunk << self.chunk_bits | vacant.trailing_zeros();
        *vacant &= *vacant - 1;
        if *vacant == 0 {
            self.roomy.remove(&chunk);
        }
        self.slot_lens[page as usize] = self.classes[usize::from(class)].slot_len;
        let book = Book { used: [0; PAGE_SLOTS / 64], prev: NO_PAGE, next: NO_PAGE, live: 0, class };
        self.books[page as usize] = book;
        self.link(page);
        page
    }

    fn close_page(&mut self, page: u32) {
        let number = page >> self.chunk_bits;
        let chunk = &mut self.chunks[number as usize];
        chunk.vacant |= 1 << (page & ((1 << self.chunk_bits) - 1));
        self.roomy.insert(number);
        // The last chunk with room is kept: what comes and goes should not go to the allocator each time.
        if chunk.vacant == all_vacant(self.chunk_bits) && self.roomy.len() > 1 {
            self.octets -= size_of_val(&*chunk.data);
            chunk.data = Box::default();
            self.roomy.remove(&number);
            self.absent.push(number);
        }
    }

    fn open_chunk(&mut self) -> u32 {
        let data = vec![T::default(); self.page_len << self.chunk_bits].into_boxed_slice();
        self.octets += size_of_val(&*data);
        let chunk = Chunk { data, vacant: all_vacant(self.chunk_bits) };
        let number = self.absent.pop().unwrap_or(self.chunks.len() as u32);
        if let Some(place) = self.chunks.get_mut(number as usize) {
            *place = chunk;
        } else {
            assert!(number < ALONE >> SLOT_BITS >> self.chunk_bits, "an arena has at most 2^22 pages");
            self.chunks.push(chunk);
            let pages = self.chunks.len() << self.chunk_bits;
            let nobody = Book { used: [0; PAGE_SLOTS / 64], prev: NO_PAGE, next: NO_PAGE, live: 0, class: 0 };
            self.books.resize(pages, nobody);
            self.slot_lens.resize(pages, 0);
        }
        self.roomy.insert(number);
        number
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

/// The bits of all pages of a chunk.
fn all_vacant(chunk_bits: u32) -> u32 {
    u32::MAX >> (32 - (1u32 << chunk_bits))
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
            let mut arena = SlotArena::<u16>::new(&[1, 2, 4, 8, 24, 100], 128);
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
        let mut arena = SlotArena::<u64>::new(&[1, 4], 512);
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
        assert!(full > 200_000 && churned > 320_000 && churned < 700_000, "{full} {churned}");
        assert!(arena.octets() < empty + 2 * CHUNK_OCTETS, "{}", arena.octets());
    }

    #[test]
    fn a_length_above_all_classes_has_a_page_of_its_own_that_goes_when_it_is_freed() {
        let mut arena = SlotArena::<u8>::new(&[16], 4096);
        let slot = arena.alloc(100_000);
        assert_eq!(arena.get(slot).len(), 100_000);
        arena.free(slot);
        assert!(arena.octets() < 1000);
        assert_eq!(arena.alloc(200_000), slot, "its number is used again");
    }

    #[test]
    fn a_copy_goes_between_pages_and_inside_one() {
        let mut arena = SlotArena::<u8>::new(&[4, 8], 64);
        let (a, b, c) = (arena.alloc(4), arena.alloc(4), arena.alloc(8));
        arena.get_mut(a).copy_from_slice(&[1, 2, 3, 4]);
        arena.copy(a, b, 4);
        arena.copy(b, c, 3);
        assert_eq!((arena.get(b), &arena.get(c)[..4]), (&[1, 2, 3, 4][..], &[1, 2, 3, 0][..]));
    }
}
