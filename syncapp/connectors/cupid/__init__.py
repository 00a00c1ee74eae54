from syncapp.connectors.cupid.ids import followed_ids, missing_file
