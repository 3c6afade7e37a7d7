import Glibc
internal import TailraceSpool

/// One file that is followed: its identity, how far it has been read, and its descriptor while it has one.
///
/// Confined to the tailer's thread. Idle files are this and a name: what is costly lives only while the file is open.
final class TailedFile {
    /// As the file system has it now.
    let identity: FileIdentity
    /// What the source key names: the identity that the file had when it was first seen.
    let keyIdentity: FileIdentity
    /// Whose it is: an index, see `FileTailEngine.follow`.
    private(set) var input: Int
    private(set) var order: GenerationOrder
    /// A rotation made it by copying a log, which came to be at `logBirth`; its inode is 0 when nobody knows it.
    private(set) var isCopy = false
    private var logBirth: Int64 = 0
    private var logInode: UInt64 = 0

    var generation: UInt32 = 0
    var offset: UInt64 = 0
    /// Size and modification time (nanoseconds since 1970) when the file was last looked at.
    var size: UInt64 = 0
    var modified: Int64 = 0
    /// The modification time that it had when it was found, before anybody looked into it.
    var modifiedWhenFound: Int64 = 0
    /// How its bytes stand for text; nil until that is known.
    var encoding: TextEncoding?
    /// No newline lies between `offset` and here.
    var scannedTo: UInt64 = 0
    /// From `offset` on there were nothing but NULs; they may be overwritten without any other trace.
    var endsInNULs = false
    var head = ContentHash.empty
    var marker = ContentHash.empty
    var marks = ContentMarks()
    /// Everything that it had when it was last modified before this (nanoseconds since 1970) has been looked at, or was there
    /// before anybody knew it. While nothing has been read of a generation, copies that came to be after this are its content.
    var seen = Int64.max
    /// A record of several lines begins at `offset` and may go on.
    var open: OpenRecord?

    struct OpenRecord {
        var offset: UInt64
        /// The file's size when it was last looked at.
        var size: UInt64
        /// Monotonic nanoseconds since when it is the first of what is open.
        var since: Int64
    }

    /// It lies on a network file system.
    var isRemote = false
    /// What is being waited out on a network file system.
    var doubt: Doubt?
    /// A read gave less than there should be.
    var isShort = false
    /// NULs before this count as the file's own.
    var trustedTo: UInt64 = 0

    struct Doubt {
        enum Subject: Equatable {
            case content(before: UInt64)
            case nuls(at: UInt64)
        }
        var subject: Subject
        /// How often it has been looked at, and from when on the next look counts (monotonic nanoseconds).
        var looks: Int
        var next: Int64
    }

    /// Where its name is; nil once the name is gone.
    var directory: WatchedDirectory?
    var name: String
    /// The path under which it was first seen, when that is not where it is now.
    private var formerPath: String?

    var descriptor: Int32 = -1
    /// What must be done before it is read.
    var check = Check.none
    var isQueued = false
    var isWaiting = false
    var isUnlinked = false
    /// Nothing is kept of it any more.
    var isRemoved = false
    /// The errno that keeps it from being read; 0 = none.
    var trouble: Int32 = 0
    /// Among the open files.
    var place = OpenFiles.Place()
    /// Monotonic nanoseconds at which its size was last seen to change.
    var lastChange: Int64 = 0
    /// Monotonic nanoseconds since when it cannot be found; 0 = it can.
    var missingSince: Int64 = 0
    /// It is to be looked for in every directory: by a walk later than this one.
    var searchedSince: UInt64?
    /// Birth of the oldest generation of the same log that was known when this one was the youngest.
    var eldestBirth: Int64
    /// The generation of the same log before this one, until it has been read to its end.
    var predecessor: TailedFile?

    /// It is compressed; sizes and offsets are those of its content.
    private(set) var isArchive = false
    /// Nobody has seen what it is an archive of: when that came to be is not known.
    private var isOfUnseen = false
    var archive: ArchiveReader?

    /// Encoded while the file is open.
    var context: [UInt8]?
    var key: SourceKey?

    enum Check {
        case none
        /// The content must be what the position says.
        case content
        /// Never seen: decide where it begins.
        case start(atEnd: Bool)
        /// Never seen, and its name looks like a rotation of the log `label`: it may be a copy of it. It has no place
        /// among the log's generations yet.
        case copy(label: String, mustBeCopy: Bool, atEnd: Bool)
    }

    /// The log that it may be a copy of, while that is not decided.
    var candidateLabel: String? { if case .copy(let label, _, _) = check { label } else { nil } }

    init(
        identity: FileIdentity, keyIdentity: FileIdentity, input: Int, age: Int64, directory: WatchedDirectory,
        name: String
    ) {
        self.identity = identity
        self.keyIdentity = keyIdentity
        self.input = input
        order = GenerationOrder(log: age)
        eldestBirth = identity.birth
        self.directory = directory
        self.name = name
    }

    /// Whether this is the older one of two generations of a log. Of those that came to be in one tick of the clock the names
    /// tell, or when they were last written.
    func isOlder(than other: TailedFile) -> Bool {
        if isCopy != other.isCopy, order.log == other.order.log, !isArchive, !other.isArchive {
            let (copy, log) = isCopy ? (self, other) : (other, self)
            if copy.logInode != 0, copy.logInode != log.keyIdentity.inode {
                // It is the copy of a log that came to be in the same tick. What else did so had been rotated by the time of
                // the copy, when that was later.
                if copy.order.copy > order.log { return self === log }
                return isOlderByName(than: other)
            }
        }
        // It may have been a copy of a log that came to be long before it.
        if isOfUnseen != other.isOfUnseen { return isOlderByName(than: other) }
        return order != other.order ? order < other.order : isOlderByName(than: other)
    }

    /// Of two that came to be in one tick of the clock, or of which one may be a copy of the other.
    func isOlderByName(than other: TailedFile) -> Bool {
        RotatedName.isOlder(
            rotatedName, written: max(modified, modifiedWhenFound), than: other.rotatedName,
            written: max(other.modified, other.modifiedWhenFound))
    }

    /// Without what compressing has put behind it.
    private var rotatedName: String { isArchive && name.hasSuffix(".gz") ? String(name.dropLast(3)) : name }

    /// Puts `older` before this file, among the generations that must be read first.
    func insertPredecessor(_ older: TailedFile) {
        var node = self
        while let before = node.predecessor, older.isOlder(than: before) { node = before }
        if node === older || node.predecessor === older { return }
        older.predecessor = node.predecessor
        node.predecessor = older
    }

    /// The generation `older` has been read to its end. What has come between the two meanwhile, or before it, is still to be
    /// read: while a file is read, events are taken.
    func passPredecessor(_ older: TailedFile) {
        if predecessor === older, older.predecessor == nil { predecessor = nil }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Where it is, or was when it was last found.
    var path: String { directory?.path(of: name) ?? name }

    /// What it is, for the log.
    var described: String {
        let kind = isArchive ? ", an archive" : isCopy ? ", a copy of inode \(logInode)" : ""
        return "\(path) of \(label) (inode \(identity.inode), born \(identity.birth), order \(order.log)"
            + (order.copy == .max ? "" : "/\(order.copy)") + ", written \(modified), generation \(generation)\(kind))"
    }

    /// The generations that are still to be read, this one first.
    var lineage: String {
        var text = "to be read from the youngest back: \(name) \(identity.inode)"
        var next = predecessor
        while let file = next {
            text += ", \(file.name) \(file.identity.inode)"
            next = file.predecessor
        }
        return text
    }

    /// The path under which it was first seen: what its records carry.
    var label: String {
        get { formerPath ?? path }
        set {
            formerPath = newValue == path ? nil : newValue
            context = nil
        }
    }

    /// Another name in its directory, or none: then `path` stays what it was.
    func move(to directory: WatchedDirectory?, name: String) {
        let label = self.label
        if let directory {
            self.directory = directory
            self.name = name
        } else {
            self.name = path
            self.directory = nil
        }
        self.label = label
    }

    /// It is no longer where its log is written.
    var isRotated: Bool { directory == nil || formerPath != nil }

    /// It is another input's from now on, or the same one's with other settings: what was not passed on is looked at anew.
    func pass(to input: Int) {
        self.input = input
        scannedTo = offset
        // An archive that is open tells it at its beginning only.
        if archive == nil { encoding = nil }
        open = nil
        context = nil
        endsInNULs = false
    }

    /// Its input has another index.
    func renumber(_ input: Int) { self.input = input }

    var text: TextEncoding { encoding ?? .utf8 }
    /// Bytes of a code unit of its text.
    var unit: Int { text.unit }
    var isConverted: Bool { text.isConverted }

    var position: FilePosition {
        var position = FilePosition(
            identity: keyIdentity, generation: generation, offset: offset, head: head, marker: marker, label: label,
            path: path)
        position.isCopy = isCopy
        position.logBirth = logBirth
        position.logInode = logInode
        position.seen = seen
        position.marks = marks
        return position
    }

    func load(_ position: FilePosition) {
        generation = position.generation
        offset = position.offset
        scannedTo = position.offset
        head = position.head
        marker = position.marker
        encoding = nil
        label = position.label
        marks = position.marks
        seen = position.seen
        if position.isCopy { becomeCopy(ofLogBorn: position.logBirth, inode: position.logInode) }
        key = nil
    }

    /// What a copy has was written before all that its log has now.
    func becomeCopy(ofLogBorn birth: Int64, inode: UInt64) {
        isCopy = true
        logBirth = birth
        logInode = inode
        order = GenerationOrder(log: birth, copy: identity.birth)
    }

    /// An archive goes before the log, if that is still there.
    ///
    /// - Parameters:
    ///   - modified: nanoseconds since 1970; compressing keeps the time of what is compressed.
    ///   - ofUnseen: nothing is known of what it is an archive of.
    func becomeArchive(modified: Int64, ofUnseen: Bool = false) {
        isArchive = true
        isOfUnseen = ofUnseen
        modifiedWhenFound = modified
        order.copy = modified
    }

    /// Begins anew at offset 0 as another source.
    func beginGeneration(_ number: UInt32) {
        generation = number
        offset = 0
        scannedTo = 0
        head = .empty
        marker = .empty
        encoding = nil
        doubt = nil
        trustedTo = 0
        marks = ContentMarks()
        open = nil
        key = nil
    }

    /// Whether the open file has the content that the position tells of.
    func contentMatches(_ position: FilePosition) -> Bool {
        contentMatches(head: position.head, marker: position.marker, offset: position.offset)
    }

    private func contentMatches(head: ContentHash, marker: ContentHash, offset: UInt64) -> Bool {
        (head.length == 0 || ContentHash(of: descriptor, from: 0, length: Int(head.length)) == head)
            && (marker.length == 0
                || ContentHash(of: descriptor, from: offset - UInt64(marker.length), length: Int(marker.length))
                    == marker)
    }

    func closeDescriptor() {
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        archive = nil
        context = nil
        key = nil
        if case .none = check { check = .content }
    }
}

/// The place of a generation of a log among the others.
struct GenerationOrder: Comparable {
    /// When the log's file came to be.
    var log: Int64
    /// When it was copied: what was copied goes before what the file has now.
    var copy = Int64.max

    static func < (a: GenerationOrder, b: GenerationOrder) -> Bool { (a.log, a.copy) < (b.log, b.copy) }
}

/// A directory that can contain matches.
final class WatchedDirectory {
    let path: String
    /// What the path led to when it was last walked; nil before.
    var identity: FileIdentity?
    /// The path goes through a link, of whose switching no event tells.
    var isBehindLink = false
    /// The inotify watch, or -1.
    var watch: Int32 = -1
    /// It lies on a network file system: events tell only of what this machine does.
    var isRemote = false
    /// What is in it is found out by looking.
    var isPolled: Bool { watch < 0 || isRemote }
    /// Per input and pattern: how far the pattern is matched here.
    var states: [(input: Int, pattern: Int, state: GlobPattern.State)] = []
    var names: [String: TailedFile] = [:]
    /// Inotify watches of the targets of links in this directory.
    var linkWatches: [String: Int32] = [:]
    /// The last walk that came by.
    var walk: UInt64 = 0

    init(path: String) { self.path = path }

    func path(of name: String) -> String { path == "/" ? "/" + name : path + "/" + name }
}
