package dev.weft.core;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideOutsideOfPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption.DoNotIncludeTests;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The packages of core stand in compile order: each may use only those to its left. */
class PackageOrderTest {
  private static final List<String> ORDER =
      List.of(
          "cluster",
          "graph",
          "op",
          "collective",
          "trace",
          "grad",
          "interpret",
          "shard",
          "overlap",
          "program",
          "stage",
          "schedule",
          "simulate");

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new DoNotIncludeTests())
          .importPackages("dev.weft.core");

  static Stream<String> packages() {
    return ORDER.stream();
  }

  @ParameterizedTest
  @MethodSource("packages")
  void usesOnlyPackagesToItsLeft(String name) {
    String[] right =
        ORDER.subList(ORDER.indexOf(name) + 1, ORDER.size()).stream()
            .map(later -> "dev.weft.core." + later + "..")
            .toArray(String[]::new);
    if (right.length > 0) {
      noClasses()
          .that()
          .resideInAPackage("dev.weft.core." + name + "..")
          .should()
          .dependOnClassesThat(resideInAnyPackage(right))
          .because("the order is " + String.join(" → ", ORDER))
          .allowEmptyShould(true)
          .check(CLASSES);
    }
  }

  @Test
  void everyPackageHasItsPlaceInTheOrder() {
    var unplaced = new TreeSet<String>();
    CLASSES.forEach(
        type -> {
          String[] names = type.getPackageName().split("\\.");
          if (names.length < 4 || !ORDER.contains(names[3])) {
            unplaced.add(type.getPackageName());
          }
        });
    Assertions.assertEquals(new TreeSet<String>(), unplaced, "packages of core that ORDER lacks");
  }

  @Test
  void usesNothingOfTheOtherModulesAndNoNativeCode() {
    noClasses()
        .should()
        .dependOnClassesThat(
            resideInAnyPackage("dev.weft..").and(resideOutsideOfPackage("dev.weft.core..")))
        .orShould()
        .dependOnClassesThat(resideInAnyPackage("java.lang.foreign.."))
        .because("core is pure Java and the bottom of the house")
        .check(CLASSES);
  }
}
