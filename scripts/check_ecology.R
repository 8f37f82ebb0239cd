# Compares the tables of `speciesnet ecology` with R's own packages and functions.
#
#   Rscript scripts/check_ecology.R FOLDER
#
# FOLDER has tables made with --first_day survey and without --people. The packages vegan and circular are
# needed; overlap, activity and camtrapR are used as well if they are installed.

folder <- commandArgs(trailingOnly = TRUE)[1]
read <- function(name, ...) {
  read.csv(file.path(folder, name), check.names = FALSE, encoding = "UTF-8", ...)
}
agree <- function(what, ours, theirs, tolerance = 1e-6) {
  difference <- max(abs(unlist(ours) - unlist(theirs)))
  if (!is.finite(difference) || difference > tolerance) {
    stop(what, " differs by ", difference, call. = FALSE)
  }
  cat(sprintf("%s: %d values, largest difference %.1e\n", what, length(unlist(ours)), difference))
}
optional <- c("overlap", "activity", "camtrapR")
installed <- optional[vapply(optional, requireNamespace, logical(1), quietly = TRUE)]
cat("not installed, so not compared:", setdiff(optional, installed), "\n")
has <- function(package) package %in% installed

records <- read("record_table.csv")
operation <- as.matrix(read("camera_operation.csv", row.names = 1))

# Species accumulation: vegan
species <- records[records$rank %in% c("species", "subspecies"), ]
accumulation <- read("accumulation.csv")
works <- which(!is.na(operation) & operation == 1, arr.ind = TRUE)
days <- paste(rownames(operation)[works[, 1]], colnames(operation)[works[, 2]])
samples <- list(
  "station" = table(factor(species$Station, rownames(operation)), species$Species),
  "camera day" = table(factor(paste(species$Station, species$Date), days), species$Species)
)
for (unit in names(samples)) {
  ours <- accumulation[accumulation$unit == unit, ]
  exact <- suppressWarnings(vegan::specaccum(unclass(samples[[unit]]), method = "exact"))
  agree(paste("vegan::specaccum by", unit), ours$species, exact$richness)
  agree("  standard deviation", ours$sd, exact$sd)
}

# Activity: circular, and the formulas of Ridout and Linkie (2009)
hour <- function(times) {
  parts <- matrix(as.numeric(unlist(strsplit(times, ":"))), nrow = 3)
  parts[1, ] + parts[2, ] / 60 + parts[3, ] / 3600
}
kernel <- function(x) {
  centre <- atan2(sum(sin(x)), sum(cos(x)))
  kappas <- unlist(lapply(1:3, function(k) {
    moment <- Mod(mean(exp(1i * k * (x - centre))))
    excess <- function(kappa) besselI(kappa, k, TRUE) / besselI(kappa, 0, TRUE) - moment
    if (excess(1e-4) * excess(345) > 0) NULL else uniroot(excess, c(1e-4, 345), tol = 1e-12)$root
  }))
  kappa <- max(kappas)
  (3 * length(x) * kappa^2 * besselI(2 * kappa, 2, TRUE) /
    (4 * sqrt(pi) * besselI(kappa, 0, TRUE)^2))^(2 / 5)
}
density_of <- function(x, at, bw) {
  circular::density.circular(circular::circular(x), z = circular::circular(at), bw = bw,
    kernel = "vonmises")$y
}
summaries <- read("activity.csv")
summaries <- summaries[summaries$time == "clock", ]
densities <- read("activity_density.csv")
densities <- densities[densities$time == "clock", ]
angles <- split(hour(records$Time) * pi / 12, records$Species)
grid <- seq(0, 2 * pi, length.out = 128)
for (taxon in unique(densities$taxon)) {
  x <- angles[[taxon]]
  ours <- summaries[summaries$taxon == taxon, ]
  centre <- as.numeric(circular::mean.circular(circular::circular(x))) * 12 / pi
  agree(paste(taxon, "circular::mean.circular"), ours$mean_hour, centre %% 24)
  agree(paste(taxon, "circular::rho.circular"), ours$concentration,
    circular::rho.circular(circular::circular(x)))
  agree(paste(taxon, "bandwidth"), ours$bandwidth, kernel(x), 1e-4)
  agree(paste(taxon, "circular::density.circular"),
    densities$density[densities$taxon == taxon], density_of(x, grid, ours$bandwidth) * pi / 12)
  if (has("overlap")) {
    agree(paste(taxon, "overlap::densityFit"), densities$density[densities$taxon == taxon],
      overlap::densityFit(x, grid, overlap::getBandWidth(x)) * pi / 12, 1e-3)
  }
  if (has("activity")) {
    agree(paste(taxon, "activity::fitact"), ours$activity_level,
      activity::fitact(x, sample = "none")@act[1], 1e-3)
  }
}
overlaps <- read("activity_overlap.csv")
overlaps <- overlaps[overlaps$time == "clock", ]
for (row in seq_len(nrow(overlaps))) {
  ours <- overlaps[row, ]
  a <- angles[[ours$taxon_1]]
  b <- angles[[ours$taxon_2]]
  f <- density_of(a, grid[-1], kernel(a) / 0.8)
  g <- density_of(b, grid[-1], kernel(b) / 0.8)
  dhat1 <- sum(pmin(f / sum(f), g / sum(g)))
  both <- c(a, b)
  at_events <- function(x) {
    if (length(both) <= 1.1 * 128) return(density_of(x, both, kernel(x)))
    approx(grid, density_of(x, grid, kernel(x)), both)$y
  }
  f <- at_events(a)
  g <- at_events(b)
  n <- seq_along(a)
  dhat4 <- (mean(pmin(1, g[n] / f[n])) + mean(pmin(1, f[-n] / g[-n]))) / 2
  agree(paste("overlap of", ours$taxon_1, "and", ours$taxon_2), c(ours$dhat1, ours$dhat4),
    c(dhat1, dhat4), 1e-5)
  if (has("overlap")) {
    agree("  overlap::overlapEst", c(ours$dhat1, ours$dhat4),
      overlap::overlapEst(a, b, adjust = c(0.8, 1, NA))[1:2], 1e-3)
  }
}

# Detection histories: the rule in camtrapR's documentation, and camtrapR
effort <- as.matrix(read("effort.csv", row.names = 1))
occasion <- (seq_len(ncol(operation)) - 1) %/% 7 + 1
worked <- t(rowsum(t(ifelse(is.na(operation), 0, operation)), occasion))
worked[worked == 0] <- NA
stopifnot(identical(is.na(unname(effort)), is.na(unname(worked))))
agree("days worked in each occasion", na.omit(c(effort)), na.omit(c(worked)))
files <- list.files(file.path(folder, "detection_history"), full.names = TRUE)
named <- gsub("_", " ", sub("\\.csv$", "", basename(files)))
for (number in which(named %in% records$Species)) {
  own <- records[records$Species == named[number], ]
  first <- as.POSIXct(colnames(operation)[1], tz = "UTC")
  since <- difftime(as.POSIXct(own$DateTimeOriginal, tz = "UTC"), first, units = "days")
  history <- ifelse(is.na(worked), NA, 0)
  history[cbind(match(own$Station, rownames(operation)), ceiling(as.numeric(since) / 7))] <- 1
  history[is.na(worked)] <- NA
  ours <- as.matrix(read.csv(files[number], row.names = 1))
  stopifnot(identical(is.na(unname(ours)), is.na(unname(history))))
  agree(paste(named[number], "detection history"), na.omit(c(ours)), na.omit(c(history)))
  if (has("camtrapR")) {
    theirs <- camtrapR::detectionHistory(
      recordTable = records, species = named[number], camOp = operation, stationCol = "Station",
      speciesCol = "Species", recordDateTimeCol = "DateTimeOriginal", occasionLength = 7,
      day1 = "survey", includeEffort = TRUE, scaleEffort = FALSE, timeZone = "UTC"
    )
    stopifnot(identical(is.na(unname(ours)), is.na(unname(theirs$detection_history))))
    agree(paste(named[number], "camtrapR::detectionHistory"), na.omit(c(ours)),
      na.omit(c(theirs$detection_history)))
    agree("  effort", na.omit(c(effort)), na.omit(c(theirs$effort)))
  }
}
