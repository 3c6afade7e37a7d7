import CTailrace
import Glibc
internal import TailraceSpool

/// Runs of NULs where a line should begin: a hole that a writer left who kept its offset over a truncation, or blocks
/// that a crash left unwritten. They are passed over and counted; what follows is the line.
extension FileTailEngine {
    /// Whether there is such a run at the file's offset.
    func beginsWithNULs(_ file: TailedFile) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: LineSplitter.minimumNULs * file.unit, alignment: 1) { buffer in
            readFully(file.descriptor, into: buffer, count: buffer.count, offset: file.offset) == buffer.count
                && buffer.allSatisfy { $0 == 0 }
        }
    }

    /// Passes over the run at the file's offset. One that goes on to the end of the file stays, for it may be space that
    /// the writer reserved and is going to fill, unless the file `isFinal`.
    func passNULs(_ file: TailedFile, isFinal: Bool = false) -> Outcome {
        var at = file.offset
        scan: while at < file.size {
            let data = lseek(file.descriptor, off_t(at), Int32(TAILRACE_SEEK_DATA))
            if data < 0, errno == ENXIO {
                at = file.size
                break
            }
            if data > off_t(at) { at = min(UInt64(data), file.size) }
            let wanted = Int(min(UInt64(scanScratch.count), file.size - at))
            let count = readFully(file.descriptor, into: scanScratch, count: wanted, offset: at)
            guard count > 0 else { break }
            for index in 0..<count where scanScratch[index] != 0 {
                at += UInt64(index)
                break scan
            }
            at += UInt64(count)
        }
        // What follows begins with a whole code unit.
        if at < file.size { at -= (at - file.offset) % UInt64(file.unit) }
        if at >= file.size, !isFinal {
            file.scannedTo = file.size
            file.endsInNULs = true
            return .atEnd
        }
        statistics.skippedNULs += at - file.offset
        setOffset(file, at)
        note(file.position)
        return .more
    }
}
