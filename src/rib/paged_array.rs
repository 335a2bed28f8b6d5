//! An array indexed by dense ids that has memory only where something is.

/// Ids of a page, as a power of two.
const PAGE_BITS: u32 = 11;

/// Values by id. What was never set, or was set to the default, costs nothing once its whole page is like that.
#[derive(Clone, Debug)]
pub(crate) struct PagedArray<T> {
    pages: Vec<Page<T>>,
    octets: usize,
}

#[derive(Clone, Debug)]
struct Page<T> {
    values: Box<[T]>,
    /// How many of them are not the default.
    in_use: u32,
}

impl<T> Default for PagedArray<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), octets: 0 }
    }
}

impl<T: Copy + Default + PartialEq> PagedArray<T> {
    /// The value of `id`; the default where nothing was set.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> T {
        let page = self.pages.get((id >> PAGE_BITS) as usize);
        page.and_then(|page| page.values.get(in_page(id))).copied().unwrap_or_default()
    }

    /// Sets the value of `id`.
    #[inline]
    pub(crate) fn set(&mut self, id: u32, value: T) {
        let number = (id >> PAGE_BITS) as usize;
        if self.pages.get(number).is_none_or(|page| page.values.is_empty()) {
            if value == T::default() {
                return;
            }
            self.open_page(number);
        }
        let page = &mut self.pages[number];
        let before = std::mem::replace(&mut page.values[in_page(id)], value);
        page.in_use += u32::from(value != T::default());
        page.in_use -= u32::from(before != T::default());
        if page.in_use == 0 {
            self.octets -= size_of_val(&*page.values);
            page.values = Box::default();
        }
    }

    /// One behind the highest id that can have a value.
    pub(crate) fn end(&self) -> u32 {
        (self.pages.len() << PAGE_BITS) as u32
    }

    /// Octets allocated.
    pub(crate) fn octets(&self) -> usize {
        self.octets + self.pages.capacity() * size_of::<Page<T>>()
    }

    #[cold]
    fn open_page(&mut self, number: usize) {
        if number >= self.pages.len() {
            self.pages.resize_with(number + 1, || Page { values: Box::default(), in_use: 0 });
        }
        self.pages[number].values = vec![T::default(); 1 << PAGE_BITS].into_boxed_slice();
        self.octets += size_of_val(&*self.pages[number].values);
    }
}

fn in_page(id: u32) -> usize {
    id as usize % (1 << PAGE_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_default_where_nothing_was_set() {
        let mut array = PagedArray::<u32>::default();
        array.set(5000, 7);
        assert_eq!([array.get(0), array.get(5000), array.get(5001), array.get(1 << 30)], [0, 7, 0, 0]);
        assert_eq!(array.end(), 6144);
        let octets = array.octets();
        array.set(5001, 0);
        array.set(0, 0);
        assert_eq!(array.octets(), octets, "a default costs nothing");
    }

    #[test]
    fn a_page_goes_with_its_last_value() {
        let mut array = PagedArray::<u64>::default();
        (0..10_000).for_each(|id| array.set(id, 1));
        (0..10_000).for_each(|id| array.set(id, 2));
        assert!(array.octets() > 80_000);
        (0..10_000).for_each(|id| array.set(id, 0));
        assert!(array.octets() < 1000, "{}", array.octets());
        assert_eq!(array.get(9_999), 0);
    }
}
