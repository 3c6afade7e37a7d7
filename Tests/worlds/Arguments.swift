import Glibc

/// Options of the command line: names, most of them with a number.
struct Arguments {
    private var left: [String]

    init(_ arguments: some Sequence<String>) { left = Array(arguments) }

    mutating func number(_ name: String) -> UInt64? {
        guard let index = left.firstIndex(of: name) else { return nil }
        guard index + 1 < left.count, let number = UInt64(left[index + 1]) else {
            print("\(name) needs a number")
            exit(2)
        }
        left.removeSubrange(index...(index + 1))
        return number
    }

    /// Nothing may be left: a word that nobody knows is told, and ends the program.
    func end() {
        guard let word = left.first else { return }
        print("nobody knows \(word)")
        exit(2)
    }

    mutating func has(_ name: String) -> Bool {
        guard let index = left.firstIndex(of: name) else { return false }
        left.remove(at: index)
        return true
    }
}
