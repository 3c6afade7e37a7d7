import Glibc
import Synchronization
import TestSupport
import Testing

@testable import TailraceSpool

/// Who removes a large file does not wait until its blocks are free.
@Suite struct ReclaimerTests {
    private let directory = TemporaryDirectory("reclaimer")

    /// Holds the closing of some files up.
    private final class Gate: Sendable {
        private let isShut = Atomic<Bool>(true)
        let closed = Mutex<[String]>([])

        func close(_ path: String, _ isHeld: Bool) {
            while isHeld, isShut.load(ordering: .relaxed) { usleep(200) }
            closed.withLock { $0.append(path) }
        }

        func open() { isShut.store(false, ordering: .relaxed) }
    }

    /// How many files of the directory this process has open that have no name any more.
    private func nameless() -> Int {
        (0..<1024).count { descriptor in
            var target = [UInt8](repeating: 0, count: 4096)
            let count = target.withUnsafeMutableBytes {
                readlink("/proc/self/fd/\(descriptor)", $0.bindMemory(to: CChar.self).baseAddress!, $0.count)
            }
            guard count > 0 else { return false }
            let path = String(decoding: target[..<count], as: UTF8.self)
            return path.hasPrefix(directory("spool")) && path.hasSuffix(" (deleted)")
        }
    }

    private func makeFiles(_ count: Int) throws -> [String] {
        mkdir(directory("spool"), 0o700)
        let files = (0..<count).map { "\($0)" }
        for file in files { try directory.write("x", to: "spool/\(file)") }
        return files
    }

    private func reclaimer(_ disk: any Disk, hasThreads: Bool = true) -> Reclaimer {
        Reclaimer(SpoolDirectory(path: directory("spool"), disk: disk), hasThreads: hasThreads)
    }

    @Test func linesAreTakenWhileASegmentIsGivenBack() throws {
        let gate = Gate()
        var settings = configuration(directory, segment: 4 << 10)
        settings.spareLimit = 0
        settings.environment.disk = FaultyDisk(closing: { path in
            gate.close(path, path.hasSuffix(".spool") && access(path, F_OK) != 0)
        })
        let spool = try openSpool(settings)
        // Three of them have segments of their own.
        for number in 0..<4 {
            try spool.append(batch([[UInt8](repeating: 7, count: 3000)], position: "\(number)"))
            #expect(spool.flush())
        }
        #expect(spool.statistics().segments == 4)
        spool.release(below: 3)
        while names(settings.directory, suffix: ".spool").count > 1 { usleep(200) }
        try spool.append(batch(["short"]))
        while spool.committed < 5 { usleep(200) }
        #expect(nameless() == 3)
        gate.open()
        #expect(spool.flush())
        #expect(nameless() == 0)
        spool.close()
    }

    @Test func oneFileTooManyIsClosedByWhoRemovesIt() throws {
        let files = try makeFiles(6)
        let gate = Gate()
        let reclaimer = reclaimer(FaultyDisk(closing: { path in gate.close(path, path.hasSuffix("/0")) }))
        for file in files { try reclaimer.unlink(file) }
        #expect(gate.closed.withLock { $0.map { $0.suffix(2) } } == ["/4", "/5"])
        #expect(nameless() == 4)
        gate.open()
        reclaimer.wait()
        #expect(nameless() == 0)
        #expect(gate.closed.withLock { $0.count } == 6)
    }

    @Test func aFileThatCannotBeOpenedIsRemovedAllTheSame() throws {
        let files = try makeFiles(2)
        let reclaimer = reclaimer(FaultyDisk { operation, _ in operation == .open ? EMFILE : 0 })
        for file in files { try reclaimer.unlink(file) }
        #expect(try SpoolDirectory(path: directory("spool")).names().isEmpty)
        reclaimer.wait()
    }

    @Test func aFileThatCannotBeRemovedIsNotHeld() throws {
        let files = try makeFiles(1)
        let reclaimer = reclaimer(FaultyDisk { operation, _ in operation == .unlink ? EIO : 0 })
        #expect(throws: SpoolFileError.self) { try reclaimer.unlink(files[0]) }
        reclaimer.wait()
        #expect(try SpoolDirectory(path: directory("spool")).names() == files)
    }

    @Test func withoutThreadsFilesAreClosedAtOnce() throws {
        let files = try makeFiles(2)
        let gate = Gate()
        let reclaimer = reclaimer(FaultyDisk(closing: { gate.close($0, false) }), hasThreads: false)
        for file in files { try reclaimer.unlink(file) }
        #expect(gate.closed.withLock { $0.count } == 2)
        #expect(nameless() == 0)
    }
}
