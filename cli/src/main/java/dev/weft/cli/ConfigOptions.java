package dev.weft.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.core.schedule.Schedules;
import dev.weft.runtime.trainer.TrainConfig;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

/** The flags of a training configuration: one per component of {@link TrainConfig}. */
final class ConfigOptions {
  private static final Map<String, String> HELP =
      Map.ofEntries(
          Map.entry("name", "name of the run and of its folder under runs/"),
          Map.entry("seed", "seed of parameters, data order and dropout"),
          Map.entry("steps", "steps of training"),
          Map.entry(
              "model",
              "gpt, moe, transformer, unet, resnet, mlp, a size like gpt-1.3b, or a class of your"
                  + " own that implements TokenModel"),
          Map.entry("classpath", "where that class is found"),
          Map.entry("data", "UTF-8 text files; without any the Europarl proceedings"),
          Map.entry("layers", "equal blocks of the model"),
          Map.entry("hidden", "width of the model"),
          Map.entry("heads", "attention heads"),
          Map.entry("sequence", "context in tokens"),
          Map.entry("image", "edge of the pictures of a unet or resnet, in pixels"),
          Map.entry("batch", "sequences, pictures or points per step"),
          Map.entry(
              "micro-batches",
              "parts that a step's batch is computed in; filled up where they do not divide it"),
          Map.entry("vocabulary", "rows of the token table; tokens are bytes"),
          Map.entry("dtype", "f32, bf16 or f64"),
          Map.entry("learning-rate", "largest learning rate"),
          Map.entry("warmup", "steps until it is reached"),
          Map.entry("weight-decay", "decay of matrices; norms and biases have none"),
          Map.entry("clip", "largest norm of the gradient; 0 for no limit"),
          Map.entry("dropout", "share of elements zeroed while training"),
          Map.entry("feed-forward", "width within the second sub-layers, times hidden"),
          Map.entry("expert-every", "of every so many layers the last has experts, in model moe"),
          Map.entry("experts", "experts of each layer of model moe"),
          Map.entry("capacity-factor", "room of an expert, times its even share of tokens"),
          Map.entry("balance-weight", "weight of the loss that asks for even shares"),
          Map.entry("save-every", "steps between checkpoints; 0 for one at the end"),
          Map.entry("keep", "checkpoints kept"),
          Map.entry("eval-every", "steps between evaluations; 0 for one at the end"),
          Map.entry("log-every", "steps between lines of metrics"),
          Map.entry("optimizer", "adamw or sgd"),
          Map.entry("threads", "cores used; 0 for all"),
          Map.entry("device-memory", "most memory of all devices, like 4GiB"),
          Map.entry(
              "devices",
              "devices that train together, embedded in this process; 0 for as the mesh says"),
          Map.entry("mesh", "how they stand, like data=2,model=2; all along data if not said"),
          Map.entry("stages", "groups of devices that the layers are dealt out to"),
          Map.entry("chunks", "pieces of the model on each stage; 0 for what the schedule has"),
          Map.entry(
              "cut",
              "scopes that the second stage and all later ones begin with, like h.2,h.4; found by"
                  + " costs if not said"),
          Map.entry("schedule", String.join(", ", Schedules.names())),
          Map.entry(
              "recompute",
              "what is made again for the backward: none, full, auto, fraction=0.5,"
                  + " stage-aware=0.6"),
          Map.entry("recompute-timing", "early, or inline: when the cotangents have arrived"),
          Map.entry("zero", "ZeRO stage 0 to 3: what is split over data besides the batch"),
          Map.entry("bucket-bytes", "most gradients that one collective reduces, like 1MiB"),
          Map.entry(
              "sub-pipeline",
              "how far two halves of a device's rows stay apart, one computing while what the"
                  + " other needs is sent: 0 not, 1 in a product, 2 in a layer, 3 in the model, or"
                  + " auto"),
          Map.entry(
              "collective-matmul",
              "whether collectives before and behind products are looped tile by tile beside them:"
                  + " none, looped or auto"));

  private ConfigOptions() {}

  static void addTo(CommandLine command) {
    ObjectNode defaults = TrainConfig.DEFAULT.toTree();
    for (String key : TrainConfig.keys()) {
      if (command.getCommandSpec().findOption("--" + key) != null) {
        continue;
      }
      JsonNode value = defaults.get(key);
      OptionSpec.Builder option =
          OptionSpec.builder("--" + key)
              .paramLabel(label(value))
              .description(
                  HELP.getOrDefault(key, key)
                      + (value.isArray() || value.asText().isEmpty()
                          ? ""
                          : " (" + value.asText() + ")"));
      if (value.isArray()) {
        option.type(List.class).auxiliaryTypes(String.class).arity("1..*");
      } else {
        option.type(String.class).arity("1");
      }
      command.getCommandSpec().addOption(option.build());
    }
    command
        .getCommandSpec()
        .addOption(
            OptionSpec.builder("--config")
                .type(Path.class)
                .arity("1")
                .paramLabel("FILE")
                .description("a YAML file with the same names; flags go before it")
                .build());
  }

  private static String label(JsonNode value) {
    return value.isArray() ? "FILE" : value.isNumber() ? "N" : "TEXT";
  }

  /** The configuration that the model's defaults, a file and the flags make together. */
  static TrainConfig read(CommandLine command) {
    CommandLine.ParseResult parsed = command.getParseResult();
    Path file = parsed.matchedOptionValue("config", null);
    TrainConfig plain = file == null ? TrainConfig.DEFAULT : TrainConfig.DEFAULT.withFile(file);
    String model = parsed.matchedOptionValue("--model", plain.model());
    return read(command, TrainConfig.defaultsOf(model));
  }

  /** The configuration that a base, a file and the flags make together. */
  static TrainConfig read(CommandLine command, TrainConfig base) {
    CommandLine.ParseResult parsed = command.getParseResult();
    Path file = parsed.matchedOptionValue("config", null);
    TrainConfig config = file == null ? base : base.withFile(file);
    ObjectNode flags = new ObjectMapper().createObjectNode();
    ObjectNode types = TrainConfig.DEFAULT.toTree();
    for (String key : TrainConfig.keys()) {
      if (!parsed.hasMatchedOption("--" + key)) {
        continue;
      }
      JsonNode type = types.get(key);
      if (type.isArray()) {
        ArrayNode list = flags.putArray(key);
        List<String> values = parsed.matchedOptionValue("--" + key, List.of());
        values.forEach(list::add);
      } else {
        put(flags, key, parsed.matchedOptionValue("--" + key, ""), type);
      }
    }
    return config.with(flags, "the command line");
  }

  private static void put(ObjectNode flags, String key, String value, JsonNode type) {
    try {
      if (type.isIntegralNumber()) {
        flags.put(key, new BigInteger(value.strip()));
      } else if (type.isNumber()) {
        flags.put(key, Double.parseDouble(value));
      } else {
        flags.put(key, value);
      }
    } catch (NumberFormatException e) {
      throw new UserException(
          "--"
              + key
              + " needs "
              + (type.isIntegralNumber() ? "a whole number" : "a number")
              + ", found '"
              + value
              + "'",
          e);
    }
  }
}
