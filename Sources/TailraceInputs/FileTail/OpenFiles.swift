/// The files that are open, the one longest not looked at first: a list that the files themselves link, so that each change
/// takes as long with one file as with hundreds.
struct OpenFiles: Sequence {
    /// A file's place.
    struct Place {
        fileprivate var isListed = false
        fileprivate var next: TailedFile?
        fileprivate unowned(unsafe) var previous: TailedFile?
    }

    private(set) var count = 0
    private var first: TailedFile?
    private unowned(unsafe) var last: TailedFile?

    /// Puts a file at the end, wherever it was.
    mutating func append(_ file: TailedFile) {
        guard last !== file else { return }
        remove(file)
        file.place = Place(isListed: true, next: nil, previous: last)
        if let last { last.place.next = file } else { first = file }
        last = file
        count += 1
    }

    /// Takes it out, if it is there.
    mutating func remove(_ file: TailedFile) {
        guard file.place.isListed else { return }
        let place = file.place
        file.place = Place()
        if let previous = place.previous { previous.place.next = place.next } else { first = place.next }
        if let next = place.next { next.place.previous = place.previous } else { last = place.previous }
        count -= 1
    }

    struct Iterator: IteratorProtocol {
        fileprivate var following: TailedFile?

        mutating func next() -> TailedFile? {
            defer { following = following?.place.next }
            return following
        }
    }

    func makeIterator() -> Iterator { Iterator(following: first) }
}
