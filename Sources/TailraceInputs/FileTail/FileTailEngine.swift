import CTailrace
import Glibc
internal import Logging
internal import TailraceSpool

/// What the tailer's thread owns: the files, the directories, and what is to be done next.
///
/// The loop: events and due timers say what to look at; looking at names (`+Names`) finds new files and lost ones;
/// walking (`+Directories`) finds directories; reading (`+Reading`) takes one block per file and round.
final class FileTailEngine {
    /// And the host that records carry: see `follow`.
    var inputs: [FileTailConfiguration]
    let limits: FileTailLimits
    var host: String
    let sink: any BatchSink
    let logger: Logger
    let shared: FileTailShared

    var inotify: Inotify?
    var directories: [String: WatchedDirectory] = [:]
    /// Who a watch's events are for.
    var watches: [Int32: WatchTarget] = [:]
    enum WatchTarget {
        case directory(WatchedDirectory)
        case linkTarget(WatchedDirectory, name: String)
        case ancestor
    }

    var files: [FileIdentity: TailedFile] = [:]
    /// The youngest generation of each log, by its label.
    var youngest: [String: TailedFile] = [:]
    /// Positions of the spool whose files have not been found yet, by identity without device.
    var saved: [FileIdentity: [FilePosition]] = [:]
    /// The saved positions by label, for recognising rotations made while nobody looked.
    var savedLabels: [String: FilePosition] = [:]
    /// Birth of the oldest generation of each label that is among them.
    var savedElders: [String: Int64] = [:]
    var savedInodes: Set<UInt64> = []
    /// What a log was before it was truncated, the oldest first: by it a copy is told.
    var abandoned: [String: [PastPosition]] = [:]
    /// Generations of a log that were read to their end and are gone: an archive of one has nothing new.
    var retired: [String: [PastPosition]] = [:]
    struct PastPosition {
        var position: FilePosition
        /// Monotonic nanoseconds.
        var since: Int64
    }
    /// Files that may be copies of a log, by its label.
    var candidates: [String: [TailedFile]] = [:]
    /// Directories in which a candidate had another name, or none, when it was to be looked into.
    var vacated: [WatchedDirectory] = []
    /// Files that look like rotations and hold nothing of their logs: not looked at again until they change.
    var strangers: [FileIdentity: (size: UInt64, modified: Int64)] = [:]

    var ready: [TailedFile] = []
    /// Files to look at again at a time (monotonic nanoseconds).
    var waiting: [(file: TailedFile, due: Int64)] = []
    var openFiles = OpenFiles()
    /// Found in this pass over the events, not yet adopted.
    var newcomers: [Newcomer] = []
    struct Newcomer {
        var directory: WatchedDirectory
        var name: String
        var status: FileStatus
        var input: Int
        /// The log it is a rotation of, when a rename told so.
        var renamedFrom: String?
    }
    var archives: [ArchiveName] = []
    var refuted: Set<Refutation> = []
    /// Archives of which too little is there yet to tell what they are.
    var unfinishedArchives: [TouchedKey: (directory: WatchedDirectory, name: String)] = [:]
    /// Names to look at after this pass over the events, each once, in order.
    var touched: [(directory: WatchedDirectory, name: String)] = []
    var touchedKeys: Set<TouchedKey> = []
    struct TouchedKey: Hashable {
        var directory: ObjectIdentifier
        var name: String
    }
    /// Label of the file that a rename in this pass brought to a path.
    var renamedLabels: [String: String] = [:]
    var renames: [UInt32: String] = [:]
    /// Names that match and are links, dangling ones too: events do not tell when something on their way changes.
    var linkNames: [TouchedKey: (directory: WatchedDirectory, name: String)] = [:]
    /// Directories that cannot be listed and names that cannot be looked at: whose they are, and the errno.
    var troubledPaths: [String: (input: Int, code: Int32)] = [:]
    /// Files whose names are gone, by identity without device: a file system that is mounted again under another
    /// device number brings them back.
    var lost: [FileIdentity: TailedFile] = [:]
    /// Positions that changed without a record.
    var pendingPositions: [SourcePosition] = []

    /// Per input: what makes records of its lines; nil where each line is one.
    var assemblers: [LineAssembler?]
    /// Of the converted chunk that is at hand.
    var lineOffsets = LineOffsets()

    var statistics = FileTailStatistics()
    /// Files taken in since the start.
    var adopted: UInt64 = 0
    private var adoptedWhenSettled: UInt64 = 0
    var walk: UInt64 = 0
    var wantsWalk = true
    /// Names of inputs of which this walk finds what was there before anybody looked.
    var firstWalks: Set<String> = []
    var isClosed = false
    var nextRescan: Int64 = 0
    var nextPoll: Int64 = 0
    var nextMissingSweep: Int64 = 0
    var startTime: Int64 = 0
    var nextDeletedCheck: Int64 = 0
    var saidWatchLimit = false
    private var saidInstanceLimit = false
    /// The marker is read in front of every chunk, to be compared.
    let markerScratch = UnsafeMutableRawPointer.allocate(byteCount: FilePosition.maximumMarker, alignment: 16)
    let scanScratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 262_144, alignment: 4096)

    init(
        inputs: [FileTailConfiguration], limits: FileTailLimits, host: String, positions: [SourceKey: [UInt8]],
        sink: any BatchSink, logger: Logger, shared: FileTailShared
    ) {
        self.inputs = inputs
        self.limits = limits
        self.host = host
        self.sink = sink
        self.logger = logger
        self.shared = shared
        firstWalks = Set(inputs.map(\.name))
        assemblers = inputs.map { LineAssembler(format: $0.format, multiline: $0.multiline) }
        load(positions)
    }

    deinit {
        markerScratch.deallocate()
        scanScratch.deallocate()
    }

    private func load(_ positions: [SourceKey: [UInt8]]) {
        var youngest: [FileIdentity: FilePosition] = [:]
        for (key, value) in positions {
            guard let position = FilePosition(key: key, value: value) else { continue }
            if let other = youngest[position.identity] {
                // Of two generations of one file the later counts; of the other a copy may still be found.
                let older = other.generation < position.generation ? other : position
                abandon(older)
                if older == position { continue }
            }
            youngest[position.identity] = position
        }
        for position in youngest.values { save(position) }
    }

    /// Keeps a position whose file nobody has, until it is found again.
    func save(_ position: FilePosition) {
        saved[position.identity.withoutDevice, default: []].append(position)
        savedInodes.insert(position.identity.inode)
        if position.isCopy { return }
        savedElders[position.label] = min(savedElders[position.label] ?? .max, position.identity.birth)
        if let other = savedLabels[position.label], other.identity.birth >= position.identity.birth { return }
        savedLabels[position.label] = position
    }

    static func monotonic() -> Int64 {
        Int64(monotonicNanoseconds())
    }

    // MARK: - The loop

    func run() {
        startTime = Self.monotonic()
        while !shared.stops, !isClosed {
            let begin = Self.monotonic()
            lookAround(begin)
            shared.requests.serve(self, mayChange: true)
            let bytes = readRound()
            flushPositions()
            shared.publish(currentStatistics, files: shared.wantsFiles ? fileStates() : nil)
            if shared.stops || isClosed { break }
            let next = bytes > 0 ? begin + interval(after: bytes) : 0
            // The first write after a pause is not held up.
            if ready.isEmpty || next <= begin { sleep(until: ready.isEmpty ? nextDue() : 0, forEvents: true) }
            if next > Self.monotonic() { sleep(until: next, forEvents: false) }
        }
        for file in files.values { file.closeDescriptor() }
        flushAtEnd()
    }

    /// An inotify instance, if there is one to be had.
    private func beginEvents() {
        guard limits.usesInotify, inotify == nil else { return }
        inotify = Inotify()
        if inotify == nil, !saidInstanceLimit {
            saidInstanceLimit = true
            logger.warning(
                """
                no inotify instance: \(describeErrno(errno)); files are polled every \(limits.pollInterval); \
                raise the sysctl fs.inotify.max_user_instances
                """)
        } else if inotify != nil, saidInstanceLimit {
            saidInstanceLimit = false
            logger.info("an inotify instance was free: files are no longer polled")
        }
    }

    /// Events, timers, walks: everything that tells what to read next.
    func lookAround(_ now: Int64) {
        if now >= nextRescan {
            if nextRescan != 0 { statistics.rescans += 1 }
            beginEvents()
            nextRescan = now + limits.rescanInterval.nanoseconds
            wantsWalk = true
        }
        var passes = 0
        // A file found in one pass may have come to be after events that are still queued; those may tell of
        // generations before it. So nothing is read until the queue has been seen empty.
        repeat {
            if wantsWalk {
                wantsWalk = false
                walkDirectories()
            }
            passes += 1
        } while (readEvents() || wantsWalk) && passes < 1000
        if now >= nextPoll {
            nextPoll = now + limits.pollInterval.nanoseconds
            poll(now)
        }
        if adopted != adoptedWhenSettled { lookAgainAtPolled() }
        wakeWaiting(now)
        sweepMissing(now)
        releaseDeleted(now)
    }

    /// Where no events tell of renames, a new generation of a log may be found before the one that was renamed while the
    /// directory was being looked at. So it is looked at until nothing new is found.
    private func lookAgainAtPolled() {
        var passes = 0
        var before: UInt64
        repeat {
            before = adopted
            for directory in directories.values where directory.isPolled { scan(directory) }
            settleTouched()
            passes += 1
        } while adopted != before && passes < 100
        adoptedWhenSettled = adopted
    }

    /// Once each `pollInterval` while there is something that inotify does not tell of.
    private func poll(_ now: Int64) {
        for directory in directories.values where directory.isPolled { scan(directory) }
        retryTroubledPaths()
        for (directory, name) in linkNames.values { touch(directory, name) }
        for (directory, name) in unfinishedArchives.values { touch(directory, name) }
        // A switched link leads to a directory of which we hear nothing yet.
        if directories.values.contains(where: { $0.isBehindLink && FileStatus(path: $0.path)?.identity != $0.identity })
        {
            wantsWalk = true
        }
        for file in files.values where file.trouble != 0 { enqueue(file) }
        settleTouched()
    }

    private var needsPolling: Bool {
        !linkNames.isEmpty || linkedDirectories > 0 || statistics.polledDirectories > 0 || troubledFiles > 0
            || !troubledPaths.isEmpty || !unfinishedArchives.isEmpty
    }
    var troubledFiles = 0
    var linkedDirectories = 0

    private func wakeWaiting(_ now: Int64) {
        guard waiting.contains(where: { $0.due <= now }) else { return }
        for (file, due) in waiting where due <= now {
            file.isWaiting = false
            enqueue(file)
        }
        waiting.removeAll { $0.due <= now }
    }

    func enqueue(_ file: TailedFile) {
        guard !file.isQueued else { return }
        file.isQueued = true
        ready.append(file)
    }

    /// Looks at the file again in `nanoseconds`.
    func wait(_ file: TailedFile, _ nanoseconds: Int64) {
        guard !file.isWaiting else { return }
        file.isWaiting = true
        waiting.append((file, Self.monotonic() + nanoseconds))
    }

    private func nextDue() -> Int64 {
        // What polling found is no event that would wake us.
        if wantsWalk { return 0 }
        var due = min(nextRescan, nextMissingSweep)
        if needsPolling { due = min(due, nextPoll) }
        for entry in waiting { due = min(due, entry.due) }
        return due
    }

    /// Bytes of a round.
    private static let trickle = 4096
    private static let plenty = 65_536

    /// Between the beginnings of a round that passed on so many bytes and the next. When little comes in many writes, it
    /// gathers; when much lies there, the spool's files need not be more than a few.
    private func interval(after bytes: Int) -> Int64 {
        let prospect = sink.prospect
        if bytes < Self.plenty {
            let usual =
                bytes < Self.trickle ? min(limits.trickleInterval, limits.gatherInterval) : limits.gatherInterval
            return max(usual, prospect.gathering).nanoseconds
        }
        guard prospect.backlog > limits.paceAbove else { return 0 }
        return min(limits.longestPace.nanoseconds, Int64(Double(bytes) / Double(limits.pacedRate) * 1e9))
    }

    /// Sleeps until a wake, the time, or events, if it is for these; 0 = only takes note of wakes.
    private func sleep(until due: Int64, forEvents: Bool) {
        let left = due == 0 ? 0 : max(0, due - Self.monotonic())
        var descriptors = (
            pollfd(fd: shared.wakes.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: forEvents ? inotifyDescriptor : -1, events: Int16(POLLIN), revents: 0)
        )
        shared.mark.rest()
        let count = withUnsafeMutablePointer(to: &descriptors) {
            $0.withMemoryRebound(to: pollfd.self, capacity: 2) { tailrace_poll($0, 2, left) }
        }
        shared.mark.work()
        if count > 0, descriptors.0.revents != 0 { shared.wakes.drain() }
    }

    private var inotifyDescriptor: Int32 { inotify?.descriptor ?? -1 }

    // MARK: - Positions without records

    func flushPositions() {
        guard !isClosed, !pendingPositions.isEmpty else { return }
        let positions = pendingPositions
        pendingPositions = []
        for (index, position) in positions.enumerated() {
            guard let batch = takeBatch() else {
                pendingPositions.insert(contentsOf: positions[index...], at: 0)
                return
            }
            fill(batch, with: position)
            if !sink.append(batch) {
                isClosed = true
                return
            }
        }
    }

    /// As far as the sink takes them at once; what is left is found out again after the restart.
    private func flushAtEnd() {
        for position in pendingPositions {
            guard !isClosed, let batch = sink.take(timeoutMilliseconds: 20) else { return }
            fill(batch, with: position)
            isClosed = !sink.append(batch)
        }
        pendingPositions = []
    }

    private func fill(_ batch: RecordBatch, with position: SourcePosition) {
        batch.position = position
        batch.time = wallClockMilliseconds()
        batch.context = RecordContext(host: host, source: "", input: "").encoded
    }

    func forget(_ position: FilePosition) {
        pendingPositions.append(SourcePosition(source: position.key, value: []))
    }

    func note(_ position: FilePosition) {
        pendingPositions.append(SourcePosition(source: position.key, value: position.value))
    }

    /// A batch to fill. While none is free, events are still taken, so that files that are rotated away meanwhile are
    /// at least held open. Nil when the tailer is to end.
    func takeBatch() -> RecordBatch? {
        while true {
            if let batch = sink.take(timeoutMilliseconds: 100) { return batch }
            if shared.stops || isClosed { return nil }
            statistics.waits += 1
            while readEvents() {}
            openReady()
            shared.requests.serve(self, mayChange: false)
            releaseDeleted(Self.monotonic())
            shared.publish(currentStatistics, files: shared.wantsFiles ? fileStates() : nil)
            shared.wakes.drain()
        }
    }

    // MARK: - Reports

    var currentStatistics: FileTailStatistics {
        var result = statistics
        result.files = files.count
        result.openFiles = openFiles.count
        result.directories = directories.count
        result.deletedBytes = openFiles.reduce(0) { $0 + ($1.isUnlinked ? $1.size : 0) }
        return result
    }

    private func fileStates() -> [TailedFileState] { files.values.map { state(of: $0) } + troubledPathStates }

    func state(of file: TailedFile) -> TailedFileState {
        let condition: TailedFileState.Condition =
            if file.trouble != 0 {
                .troubled(troubleText(file.trouble))
            } else if file.missingSince != 0 {
                .missing
            } else if file.isUnlinked {
                .unlinked
            } else if file.candidateLabel != nil {
                .copying
            } else if file.isRotated {
                .rotated
            } else {
                .followed
            }
        return TailedFileState(
            path: file.path, source: file.label, input: inputs[file.input].name, condition: condition,
            device: file.identity.device, inode: file.identity.inode, generation: file.generation, size: file.size,
            offset: file.offset)
    }
}

extension Duration {
    /// Saturating.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds > 0 ? Int64.max / 4 : Int64.min / 4 }
        return min(product, Int64.max / 4) + attoseconds / 1_000_000_000
    }
}
