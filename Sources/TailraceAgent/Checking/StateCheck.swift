import Glibc
internal import TailraceSpool

/// The state directory: rights, what lies in it, the spool with ledgers and positions, and the room on its disk.
struct StateCheck {
    private let configuration: AgentConfiguration
    private let agent: RunningAgent?
    private let findings: Findings
    private let subject = "state"

    init(_ configuration: AgentConfiguration, _ agent: RunningAgent?, _ findings: Findings) {
        self.configuration = configuration
        self.agent = agent
        self.findings = findings
    }

    private var directory: String { configuration.stateDirectory }

    /// The spool, when there is one that can be read.
    func run() -> StoredSpool? {
        findings.begin("state directory")
        let isThere = checkDirectory()
        var spool: StoredSpool?
        if isThere {
            tellOfAgent()
            checkContents()
            spool = checkSpool()
        }
        SpaceCheck.run(configuration, spool, findings)
        return spool
    }

    // MARK: The directory

    /// Whether it is there, and can be looked into.
    private func checkDirectory() -> Bool {
        var status = stat()
        guard stat(directory, &status) == 0 else {
            let code = errno
            if code == ENOENT {
                checkParent()
            } else {
                findings.error(
                    subject, directory, SystemError.describe(code),
                    remedy: "let the user \(ProcessUser.name) enter every directory on the way, or run this as the"
                        + " agent's user")
            }
            return false
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            findings.error(subject, directory, "is no directory", remedy: "move it away, or change state_directory")
            return false
        }
        let owner = ProcessUser.name(of: status.st_uid)
        guard faccessat(AT_FDCWD, directory, R_OK | W_OK | X_OK, AT_EACCESS) == 0 else {
            let code = errno
            findings.error(
                subject, directory,
                "the user \(ProcessUser.name) may not write in it (\(SystemError.describe(code))); it belongs to \(owner)",
                remedy: code == EROFS
                    ? "mount its file system for writing"
                    : "run this as the agent's user: runuser -u \(owner) -- tailrace check --deep; or give it to the user"
                        + " that runs the agent")
            return access(directory, R_OK | X_OK) == 0
        }
        if geteuid() == 0, status.st_uid != 0 {
            findings.warning(
                subject, directory, "belongs to \(owner), and rights are looked at as root, who may read everything",
                remedy: "runuser -u \(owner) -- tailrace check --deep looks as \(owner)")
        } else {
            findings.ok(subject, directory, "belongs to \(owner), and can be written")
        }
        return true
    }

    private func tellOfAgent() {
        if let agent {
            findings.ok(
                subject, configuration.places.controlSocket,
                "the agent runs: process \(agent.process), user \(ProcessUser.name(of: agent.user))")
        } else {
            findings.ok(subject, configuration.places.controlSocket, "no agent runs")
        }
    }

    /// The agent makes the last two components.
    private func checkParent() {
        var parent = directory
        for _ in 0..<2 {
            parent = String(parent[..<(parent.lastIndex(of: "/") ?? parent.startIndex)])
            if parent.isEmpty { parent = "/" }
            if access(parent, F_OK) == 0 { break }
        }
        if faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) == 0 {
            findings.ok(subject, directory, "is not there yet: the agent makes it")
        } else {
            let code = errno
            findings.error(
                subject, directory,
                "is not there, and the user \(ProcessUser.name) cannot make it in \(parent): \(SystemError.describe(code))",
                remedy: "make it for the agent's user, as StateDirectory= of the packaged unit does")
        }
    }

    /// What is none of ours, and what was ours.
    private func checkContents() {
        var foreign: [String] = []
        for name in names(directory) {
            if name.hasPrefix(AgentPlaces.deadLetterPrefix) {
                let output = String(name.dropFirst(AgentPlaces.deadLetterPrefix.utf8.count))
                if !configuration.outputs.contains(where: { $0.name == output }) {
                    findings.warning(
                        subject, "\(directory)/\(name)", "the dead letters of an output that is not configured",
                        remedy: "remove them when the output is gone for good")
                }
            } else if !AgentPlaces.names.contains(name) {
                foreign.append(name)
            }
        }
        tell(foreign: foreign, in: directory)
    }

    private func tell(foreign names: [String], in directory: String) {
        guard !names.isEmpty else { return }
        let shown = names.prefix(Findings.limit).map(SettingsReader.shortened).joined(separator: ", ")
        let more = names.count > Findings.limit ? " and \(names.count - Findings.limit) more" : ""
        findings.warning(
            subject, directory, "not a part of it: \(shown)\(more)",
            remedy: "move away what is nobody's; the agent leaves it alone")
    }

    private func names(_ directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    // MARK: The spool

    private func checkSpool() -> StoredSpool? {
        findings.begin("spool")
        let path = configuration.places.spool
        let spool: StoredSpool
        do throws(SpoolError) {
            spool = try StoredSpool(directory: path)
        } catch {
            switch error {
            case .file(let reason) where reason.isMissing:
                findings.ok("spool", path, "is not there yet: the agent makes it")
            case .file(let reason) where reason.isForbidden:
                findings.error(
                    "spool", path, "the user \(ProcessUser.name) may not read it: \(reason.path)",
                    remedy: "run this as the agent's user, or as root")
            default: findings.error("spool", path, "\(error)")
            }
            return nil
        }
        let damaged = spool.segments.filter(\.isDamaged)
        let records = spool.segments.reduce(0) { $0 + UInt64($1.ids.count) }
        let bytes = spool.segments.reduce(0) { $0 + UInt64($1.bytes) }
        if damaged.isEmpty {
            findings.ok(
                "spool", path,
                "\(counted(spool.segments.count, "segment")), \(Quantity.describe(bytes: bytes)),"
                    + " \(counted(records, "record"))")
        } else {
            findings.warning(
                "spool", path, "damaged: \(damaged.prefix(Findings.limit).map(\.name).joined(separator: ", "))",
                remedy: "tailrace spool verify tells which records are lost; the agent passes over them")
        }
        tell(foreign: spool.foreignFiles, in: path)
        checkLedgers(spool)
        checkPositions(spool)
        return spool
    }

    private func checkLedgers(_ spool: StoredSpool) {
        for ledger in spool.ledgers {
            let path = "\(spool.directory)/\(ledger.output).ledger"
            let isConfigured = configuration.outputs.contains { $0.name == ledger.output }
            guard let state = ledger.state else {
                findings.error(
                    "ledger", path, "cannot be read: everything in the spool would be sent to \(ledger.output) again",
                    remedy: "put back a copy of it, if there is one of this state of the spool")
                continue
            }
            let left = spool.endSequence > state.floor ? spool.endSequence - state.floor : 0
            if !isConfigured {
                findings.warning(
                    "ledger", path, "belongs to no output of the configuration",
                    remedy: "remove it when the output is gone for good")
            } else if ledger.damagedSlots > 0 {
                findings.warning(
                    "ledger", path, "\(counted(ledger.damagedSlots, "slot")) of it damaged: an older one counts",
                    remedy: "look at the disk; records may be sent again")
            } else {
                findings.ok(
                    "ledger", path, "acknowledged below \(state.floor), \(counted(left, "record")) at most to go")
            }
        }
    }

    private func checkPositions(_ spool: StoredSpool) {
        let positions = PositionsReport(spool.positions)
        let gone = positions.files.count { $0.size == nil }
        findings.ok(
            "positions", spool.directory,
            "\(counted(positions.files.count, "file")) (\(gone) not there now),"
                + " \(counted(positions.journals.count, "journal"))")
        if !positions.others.isEmpty {
            findings.warning(
                "positions", spool.directory,
                "\(counted(positions.others.count, "position")) of a kind that this version does not know",
                remedy: "a later version has written them: start that one")
        }
        for file in positions.files.filter({ ($0.size ?? .max) < $0.offset }).prefix(Findings.limit) {
            findings.warning(
                "positions", file.path, "is read up to \(file.offset), and has \(file.size ?? 0) bytes: it was cut",
                remedy: "it is read from its beginning")
        }
    }
}
