import Glibc
internal import Logging

/// Where reading begins: what must be settled about an open file before its first byte is taken.
extension FileTailEngine {
    /// True when the file may be read from its offset; false when there is nothing to read for now.
    func prepare(_ file: TailedFile) -> Bool {
        switch file.check {
        case .none: return true
        case .content:
            let position = file.position
            if position.offset <= file.size, file.contentMatches(position) {
                file.check = .none
                return true
            }
            if isDoubted(file) { return false }
            file.check = .none
            beginAnew(file, because: "it is not what was read up to offset \(position.offset)")
            return true
        case .start(let atEnd):
            begin(file, atEnd: atEnd)
            return true
        case .copy(let label, _, _):
            lookForCopies(of: label)
            // Where it is read, if it is, may be behind others.
            if file.candidateLabel == nil, !file.isRemoved { enqueue(file) }
            return false
        }
    }

    func begin(_ file: TailedFile, atEnd: Bool) {
        file.check = .none
        if atEnd { setOffset(file, lastLineStart(file)) }
        // An empty log is known from now on, whatever comes before its first line.
        if atEnd || file.size == 0 { note(file.position) }
    }

    /// Has the file read from there on.
    func setOffset(_ file: TailedFile, _ offset: UInt64) {
        file.offset = offset
        file.scannedTo = offset
        extendHead(file)
        file.marker = marker(of: file, before: offset)
    }

    /// Behind the last newline; the end itself when the last line is longer than what is kept of a line anyhow.
    private func lastLineStart(_ file: TailedFile) -> UInt64 {
        let last = file.size - file.size % UInt64(file.unit)
        var end = last
        let floor = last - min(last, UInt64(inputs[file.input].maximumLine * file.unit))
        while end > floor {
            let count = Int(min(UInt64(scanScratch.count), end - floor))
            guard readFully(file.descriptor, into: scanScratch, count: count, offset: end - UInt64(count)) == count
            else {
                return last
            }
            let bytes = UnsafeRawBufferPointer(rebasing: scanScratch[..<count])
            if let newline = file.text.lastNewline(in: bytes) {
                return end - UInt64(count) + UInt64(newline + file.unit)
            }
            end -= UInt64(count)
        }
        return floor == 0 ? 0 : last
    }
}
