package dev.weft.runtime;

import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption.DoNotIncludeTests;
import org.junit.jupiter.api.Test;

/** No two packages need each other. */
class PackagesTest {
  @Test
  void areFreeOfCycles() {
    var classes =
        new ClassFileImporter()
            .withImportOption(new DoNotIncludeTests())
            .importPackages("dev.weft.runtime");
    slices().matching("dev.weft.runtime.(*)..").should().beFreeOfCycles().check(classes);
  }
}
