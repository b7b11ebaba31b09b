"""The process and kopf: Estates and mapping ConfigMaps are watched here for the registry. Nothing else imports kopf."""
