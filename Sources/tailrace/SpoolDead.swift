import ArgumentParser
import Glibc
import TailraceAgent
import TailraceDelivery
import TailraceSpool

struct SpoolDead: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead",
        abstract: "What a service refused for good, kept with the reason: looks at it, sends it again, drops it.",
        subcommands: [DeadList.self, DeadShow.self, DeadReplay.self, DeadDrop.self], defaultSubcommand: DeadList.self)
}

struct DeadList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "Tells how many records each output's service refused, and why.")

    @OptionGroup var common: CommonOptions

    @Flag(help: "One JSON object, for scripts.")
    var json = false

    func run() throws {
        let places = try ConfigurationLoader.places(ofConfigurationAt: common.config)
        let listing = try DeadLetterListing(places)
        Tailrace.write(json ? listing.json : Array(listing.text.utf8), endsLine: json)
    }
}

struct DeadShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows the refused records of an output, each with the reason.")

    @OptionGroup var common: CommonOptions
    @OptionGroup var options: SelectionOptions

    @Argument(help: "The output's name.")
    var output: String

    @Flag(help: "One JSON object per record, for scripts.")
    var json = false

    func run() throws {
        let places = try ConfigurationLoader.places(ofConfigurationAt: common.config)
        guard let letters = try DeadLetterListing.open(places, output: output) else {
            throw SpoolCommandError("the output \(output) has no dead letters; see tailrace spool dead ls")
        }
        var selection = options.selection
        selection.without = try DeadLetterListing.settled(places, output: output)
        _ = try StoredRecords(letters, selection, json ? .json : .text).run(Tailrace.write)
    }
}

struct DeadReplay: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Sends dead letters again, once what their service minded is mended.",
        discussion: """
            They go into the spool behind everything that is there, and from it to their own output alone: body, key and \
            properties as they were, but later than what came after them in the order of their key. One that is refused \
            again becomes a dead letter again, with the new reason and a new id. The agent that runs does the work; when \
            none does, this command does it. What is replayed is no dead letter any more, and a kill or a power cut at any \
            time neither loses nor doubles any of them.
            """)

    @OptionGroup var letters: LetterOptions

    func run() throws {
        let chosen = try letters.choose()
        guard let output = chosen.output else { return Tailrace.printError("no dead letters") }
        let done = try letters.work(.replay, output, chosen.ranges)
        print("output \(output): \(counted(done, "dead letter")) in the spool again, to be sent")
    }
}

struct DeadDrop: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop",
        abstract: "Gives dead letters up for good.",
        discussion: """
            Tells what it is about to drop and asks, on a terminal; anywhere else it wants --yes. The agent that runs does \
            the work and notes in its log who asked for it; when none does, this command does it. The space of dropped \
            records is used again once all of their segment is settled.
            """)

    @OptionGroup var letters: LetterOptions

    @Flag(help: "Does not ask.")
    var yes = false

    func run() throws {
        let chosen = try letters.choose()
        guard let output = chosen.output else { return Tailrace.printError("no dead letters") }
        Tailrace.write(Array(chosen.text.utf8))
        guard try yes || confirms() else { return print("nothing dropped") }
        let done = try letters.work(.drop, output, chosen.ranges)
        print("output \(output): \(counted(done, "dead letter")) dropped")
    }

    private func confirms() throws -> Bool {
        guard isatty(STDIN_FILENO) == 1 else {
            throw ValidationError("they are dropped for good: say --yes when that is meant")
        }
        StandardErrorLog.writeToStandardError(Array("Drop them for good? [y/N] ".utf8))
        return ["y", "yes"].contains(readLine()?.lowercased() ?? "")
    }
}

/// Which dead letters.
struct LetterOptions: ParsableArguments {
    @OptionGroup var common: CommonOptions

    @Option(help: ArgumentHelp("The output; needed when several have dead letters.", valueName: "name"))
    var output: String?

    @Option(help: ArgumentHelp("All with ids up to this one.", valueName: "id"))
    var through: UInt64?

    @Option(
        help: ArgumentHelp("The one with this id, as `show` tells it; may be given several times.", valueName: "id"))
    var id: [UInt64] = []

    @Flag(help: "All that are there now.")
    var all = false

    func validate() throws {
        let ways = (through == nil ? 0 : 1) + (id.isEmpty ? 0 : 1) + (all ? 1 : 0)
        guard ways == 1 else {
            throw ValidationError(
                ways == 0 ? "say which: --all, --through or --id" : "--all, --through and --id exclude each other")
        }
        guard id.allSatisfy({ $0 < .max }), through != .max else { throw ValidationError("there is no such id") }
    }

    /// What there is of what was asked for; without an output when there is nothing.
    func choose() throws -> (output: String?, ranges: [Range<UInt64>], text: String) {
        var ranges = id.map { $0..<($0 + 1) }
        if let through { ranges = [0..<(through + 1)] }
        if all { ranges = [0..<UInt64.max] }
        ranges = SettledLetters(ranges).ranges
        let places = try ConfigurationLoader.places(ofConfigurationAt: common.config)
        let listing = try DeadLetterListing(places, only: output, within: ranges)
        guard listing.names.count <= 1 else {
            throw ValidationError(
                "several outputs have dead letters: say --output with one of \(listing.names.joined(separator: ", "))")
        }
        if !id.isEmpty, listing.records != UInt64(Set(id).count) {
            throw SpoolCommandError(
                "only \(listing.records) of these \(Set(id).count) ids are dead letters; see tailrace spool dead show")
        }
        // Those that come from now on were not meant.
        return (listing.names.first, SettledLetters(ranges).clamped(to: listing.end), listing.text)
    }

    func work(_ action: DeadLetterAction, _ output: String, _ ranges: [Range<UInt64>]) throws -> UInt64 {
        let line = ProgressLine()
        defer { line.clear() }
        let work = DeadLetterWork(action, output: output, ranges, configurationPath: common.config) {
            done, left, obstacle in
            line.show("\(done) done, \(left) left" + (obstacle.map { ", waiting: \($0)" } ?? ""))
        }
        return try work.run()
    }
}
