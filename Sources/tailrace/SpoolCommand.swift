import ArgumentParser
import TailraceAgent
import TailraceSpool

struct SpoolCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spool",
        abstract: "Looks at the spool, of an agent that runs or of one that does not; changes nothing.",
        subcommands: [SpoolList.self, SpoolVerify.self, SpoolDump.self, SpoolExport.self, SpoolDead.self],
        defaultSubcommand: SpoolList.self)
}

/// Which spool.
struct SpoolOptions: ParsableArguments {
    @OptionGroup var common: CommonOptions

    @Option(help: ArgumentHelp("A spool's directory, such as a copy; default: the configuration's.", valueName: "path"))
    var directory: String?

    func open() throws -> StoredSpool { try StoredSpool.open(path()) }

    func path() throws -> String {
        guard let directory else { return try ConfigurationLoader.places(ofConfigurationAt: common.config).spool }
        return directory
    }
}

extension StoredSpool {
    /// As `init`, with errors that tell what to do.
    static func open(
        _ path: String, everything: Bool = false, progress: ((_ done: Int, _ total: Int) -> Void)? = nil
    ) throws -> StoredSpool {
        do throws(SpoolError) {
            return try StoredSpool(directory: path, everything: everything, progress: progress)
        } catch {
            guard case .file(let reason) = error else { throw error }
            if reason.isMissing {
                throw SpoolCommandError("there is no spool at \(path): name one with --config or --directory")
            }
            guard reason.isForbidden else { throw error }
            throw SpoolCommandError(
                "cannot read the spool at \(path): \(reason): run this as the agent's user, or as root")
        }
    }
}

struct SpoolCommandError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

struct SpoolList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "Lists the segments, and what each output has acknowledged.")

    @OptionGroup var spool: SpoolOptions

    @Flag(help: "One JSON object, for scripts.")
    var json = false

    func run() throws {
        let listing = SpoolListing(try spool.open())
        Tailrace.write(json ? listing.json : Array(listing.text.utf8), endsLine: json)
    }
}

struct SpoolVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Reads every byte of the spool; tells what is damaged and which records are lost (exit code 1).")

    @OptionGroup var spool: SpoolOptions

    @Flag(help: "One JSON object, for scripts.")
    var json = false

    func run() throws {
        let line = ProgressLine()
        let stored = try StoredSpool.open(spool.path(), everything: true) { done, total in
            let all = Quantity.describe(bytes: UInt64(total))
            line.show("\(Quantity.describe(bytes: UInt64(done))) of \(all) read")
        }
        line.clear()
        let verification = SpoolVerification(stored)
        Tailrace.write(json ? verification.json : Array(verification.text.utf8), endsLine: json)
        if !verification.isWhole { throw ExitCode(1) }
    }
}

/// Which records.
struct SelectionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The first id that is wanted.", valueName: "id"))
    var from: UInt64?

    @Option(help: ArgumentHelp("The last id that is wanted.", valueName: "id"))
    var to: UInt64?

    @Option(help: ArgumentHelp("At most so many records.", valueName: "number"))
    var count: UInt64?

    @Option(help: ArgumentHelp("Only records of this source, such as a file's path.", valueName: "source"))
    var source: String?

    @Option(help: ArgumentHelp("Only records of this input.", valueName: "name"))
    var input: String?

    @Flag(help: "From the lowest id that an output still wants.")
    var unacknowledged = false

    var selection: StoredRecords.Selection {
        var selection = StoredRecords.Selection()
        selection.first = from
        selection.end = to.map { $0 == .max ? $0 : $0 + 1 }
        if let count { selection.maximumCount = count }
        selection.source = source
        selection.input = input
        selection.isUnacknowledged = unacknowledged
        return selection
    }
}

struct SpoolDump: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump", abstract: "Shows records of the spool, for people.")

    @OptionGroup var spool: SpoolOptions
    @OptionGroup var options: SelectionOptions

    func run() throws {
        let stored = try spool.open()
        _ = try StoredRecords(stored, options.selection, .text).run(Tailrace.write)
    }
}

struct SpoolExport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Writes records of the spool to standard output, one JSON object per line.")

    @OptionGroup var spool: SpoolOptions
    @OptionGroup var options: SelectionOptions

    @Flag(help: "The bodies alone, each with a newline.")
    var raw = false

    func run() throws {
        let stored = try spool.open()
        let records = StoredRecords(stored, options.selection, raw ? .bodies : .json)
        Tailrace.printError("\(counted(try records.run(Tailrace.write), "record"))")
    }
}
