import ArgumentParser
import TailraceAgent
import TailraceSpool

struct SpoolDead: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead",
        abstract: "Looks at the dead letters: what a service refused for good, kept with the reason.",
        subcommands: [DeadList.self, DeadShow.self], defaultSubcommand: DeadList.self)
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
        _ = try StoredRecords(letters, options.selection, json ? .json : .text).run(Tailrace.write)
    }
}
